"""Authentication, and authorization of requests for as long as they last."""
