"""The past of a job: its times, where its files came from, earlier states, what differs."""
