// Package servicekey has the keys with which one service authenticates to another.
package servicekey

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"holdfast/internal/correlation"
)

const (
	// Header carries the key.
	Header = "X-API-Key"

	// SourceHeader says which service sends the key. It is for the log, and gives no rights.
	SourceHeader = "X-Source-Service"
)

// Source returns the name in a request's SourceHeader, or "unnamed" if there is none that a log line may have. Only the
// name on a request with a valid key tells who sends it.
func Source(r *http.Request) string {
	if name := r.Header.Get(SourceHeader); correlation.Valid(name) {
		return name
	}
	return "unnamed"
}

// Set is a set of keys. Several keys are valid at once so that an operator can change them while the services run.
type Set [][sha256.Size]byte

// NewSet returns the set of the given keys.
func NewSet(keys []string) Set {
	set := make(Set, 0, len(keys))
	for _, k := range keys {
		set = append(set, sha256.Sum256([]byte(k)))
	}
	return set
}

// Has reports whether the set has the key. It compares every key, so that the time it takes does not tell which key is
// close. No set has the empty key.
func (s Set) Has(key string) bool {
	sum := sha256.Sum256([]byte(key))
	found := 0
	for i := range s {
		found |= subtle.ConstantTimeCompare(s[i][:], sum[:])
	}
	return key != "" && found == 1
}

// From returns the key of a request, sent as X-API-Key or as a bearer token, or "".
func From(r *http.Request) string {
	key := r.Header.Get(Header)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && key == "" {
		key = bearer
	}
	return key
}
