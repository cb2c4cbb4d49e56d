// Package localservice runs private instances of PostgreSQL, Redis and RabbitMQ from the
// distribution's own binaries, for the development stack and the tests.
//
// An instance is known by its data directory alone. Whoever starts it holds a lock on that directory,
// so two stacks never share one; every server works with its current directory inside it, so a server
// that a killed run left behind is found by looking for exactly that, and is stopped before a new one
// starts on the same data. A server that lives elsewhere is never touched: if it has the port that was
// asked for, ours moves to the next free one and says so.
//
// All servers listen on 127.0.0.1 only. When the caller is root they run as the unprivileged user that
// their package created, because PostgreSQL refuses root and RabbitMQ should not have it.
//
// Linux only: it reads /proc.
package localservice
