"""The supervision tree: OTP contracts over asyncio tasks and operating system processes."""
