"""What every training loop needs: checkpoints as bytes, a sampler that resumes, devices."""
