// A page that was opened from a disk gets no workers. There, the search runs in a hidden frame in place of one.
// The theme looks for a window's `IFrameWorker` to know that it is so.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inner = frame.contentWindow
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = frame.contentDocument.createElement("script")
      script.src = url
      script.onload = () => {
        this.waiting.forEach((data) => this.tell(data))
        this.waiting = null
      }
      frame.contentDocument.body.append(script)
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data)
      else this.tell(data)
    }

    tell(data) {
      this.inner.dispatchEvent(new MessageEvent("message", { data }))
    }
  }
}
