// Package unanswered is the error of a command whose server does not answer: one sentence for every server, with what
// to do about it.
package unanswered

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Error says that nothing answers at an address. It wraps the cause.
type Error struct {
	address, setting string
	cause            error
}

// New returns the error of a call to a server at an address, which a person gives by a setting: a variable or a flag.
func New(address, setting string, cause error) *Error {
	return &Error{address: address, setting: setting, cause: cause}
}

func (e *Error) Error() string {
	text := fmt.Sprintf("nothing answers at %s; is the platform running (`make up`), and is %s right?",
		e.address, e.setting)
	var dial *net.OpError
	if errors.As(e.cause, &dial) && !errors.Is(dial, syscall.ECONNREFUSED) {
		text += fmt.Sprintf(" (%v)", dial)
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }

// IsDial reports whether err is that of a connection which was not made.
func IsDial(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
