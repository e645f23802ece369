"""HTTP/1.1 and server-sent events over gevent sockets, and the reader that judges one answer."""
