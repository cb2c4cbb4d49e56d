// Package localservice runs private instances of PostgreSQL, Redis and RabbitMQ from the
// distribution's own binaries, for the development stack and the tests, and of a mail server for the tests.
//
// Only its data directory identifies an instance. The process that starts it holds a lock on that directory,
// so two stacks never share a directory. The current directory of every server lies inside the data directory,
// so a start finds a server that a killed run left behind, and stops it before it starts a new server on the
// same data. This package never touches a server with another directory: if such a server has the wanted port,
// ours moves to the next free port and says so.
//
// All servers listen on 127.0.0.1 only. When the caller is root they run as the unprivileged user that
// their package created, because PostgreSQL refuses root and RabbitMQ should not have it.
//
// Linux only: it reads /proc.
package localservice
