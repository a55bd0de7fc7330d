"""The simulated account: its people, messages, calls, greetings and chats."""
