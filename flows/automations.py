"""What a Prefect server does by itself when a run dies, or a retraining fails."""

from __future__ import annotations

from datetime import timedelta

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.server import HEARTBEAT_S

_SILENT_S = 3 * HEARTBEAT_S
# the last four are how a retraining ends when all is well
_WELL = ("Promoted", "Kept", "Finished", "Nothing to do")
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut", *_WELL)
_ANY_RUN = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_WEBHOOK = "segspade-notify"


def automate(notify: str | None) -> list[str]:
    """Create or renew the automations: runs that died are marked, a retraining that failed is told of.

    Args:
        notify: address of a webhook; None: nobody is told.

    Returns:
        Their names.
    """
    automations = [_mark_the_dead(), *([] if notify is None else [_tell_of_failures(notify)])]
    for automation in automations:
        _create_or_renew(automation)
    return [automation.name for automation in automations]


def _mark_the_dead() -> Automation:
    return Automation(
        name="SegSPADE: mark runs that died",
        description="A run whose process is gone stays Running for ever, and holds what waits for it.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in _ENDED)},
            match=_ANY_RUN,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=_SILENT_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"no sign of life for {_SILENT_S} s: its process, or its machine, is gone",
            )
        ],
    )


def _tell_of_failures(notify: str) -> Automation:
    webhook = Webhook(method="POST", url=notify)  # type: ignore[arg-type]
    block = webhook.save(_WEBHOOK, overwrite=True)
    return Automation(
        name="SegSPADE: tell of failed retraining",
        description="Posts JSON: `text` (which Slack and its like show), `run`, `state`, `message`, `url`.",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")},
            match=_ANY_RUN,
            # of the deployment: who started one at a terminal sees how it ends, and Ctrl-C is no failure
            match_related=ResourceSpecification(
                {"prefect.resource.role": "deployment", "prefect.resource.name": "retrain"}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[CallWebhook(block_document_id=block, payload=_PAYLOAD)],
    )


_PAYLOAD = """{
  "text": {{ (flow_run.name ~ " " ~ flow_run.state.name ~ ": " ~ (flow_run.state.message or "")) | tojson }},
  "run": {{ flow_run.name | tojson }},
  "state": {{ flow_run.state.name | tojson }},
  "message": {{ (flow_run.state.message or "") | tojson }},
  "url": {{ (flow_run | ui_url) | tojson }}
}"""


def _create_or_renew(automation: Automation) -> None:
    try:
        automation.id = Automation.read(name=automation.name).id
    except ValueError:
        automation.create()
    else:
        automation.update()
