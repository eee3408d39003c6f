"""The pipelines that come with Hookmill."""
