"""n8n workflows as files: their form, what is checked in them, and their way into an n8n and back."""
