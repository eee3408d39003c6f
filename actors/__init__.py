"""The work: runs pipelines over events in checkpointed steps, asks models, delivers results."""
