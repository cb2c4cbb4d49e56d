package events

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// FirstID returns the smallest id that an event of the given time can have. An event's id is a UUIDv7, whose first 48
// bits are the milliseconds since 1970 (RFC 9562, section 5.7).
func FirstID(at time.Time) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	return id
}
