package fault

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// statements follows which prepared statement a client executes on a connection. It reads the client's messages as
// PostgreSQL's documentation describes them under "Message Formats".
type statements struct {
	mu      sync.Mutex
	unread  []byte
	started bool              // the start message, which has no type, is behind us
	texts   map[string]string // of the prepared statements, by name
	bound   string            // the text of the statement that the client executes now
}

// The types of the messages that prepare a statement and that give it its parameters.
const (
	parse = 'P'
	bind  = 'B'
)

// feed reads what the client sends.
func (s *statements) feed(chunk []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = append(s.unread, chunk...)
	for {
		head := 5 // type and length
		if !s.started {
			head = 4
		}
		if len(s.unread) < head {
			return
		}
		size := int(binary.BigEndian.Uint32(s.unread[head-4:])) + head - 4
		if len(s.unread) < size {
			return
		}
		if s.started {
			s.read(s.unread[0], s.unread[head:size])
		}
		s.started = true
		s.unread = s.unread[size:]
	}
}

func (s *statements) read(kind byte, message []byte) {
	first, rest, _ := bytes.Cut(message, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch kind {
	case parse:
		s.texts[string(first)] = string(second)
	case bind: // the first name is the portal's
		s.bound = s.texts[string(second)]
	}
}

// done returns the text of the statement that the client has executed, once.
func (s *statements) done() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.bound
	s.bound = ""
	return text
}
