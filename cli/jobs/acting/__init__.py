"""What a person does on the pages of `orc browse --allow-actions`, done as by the commands."""
