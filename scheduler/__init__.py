"""The scheduler decides which steps run next and runs them: pure core, trio runner, effects."""
