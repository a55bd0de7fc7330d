"""What the simulated account holds: people, messages, calls, greetings, chats."""
