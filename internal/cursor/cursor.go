// Package cursor makes the opaque texts by which a client asks for the page after the one it has: the
// position of that page's last row, so that rows that come and go meanwhile move no page, and which list it is of, so
// that no other list takes it for its own.
package cursor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLength bounds what is decoded, in bytes; no position of ours comes near it.
const maxLength = 512

var (
	errTrailing = errors.New("something follows the position")
	errForm     = errors.New("it is not written as Encode writes it")
	errOther    = errors.New("the cursor is of another list")
)

// located is what a cursor says.
type located[T any] struct {
	List string `json:"of"`
	At   T      `json:"at"`
}

// Encode writes a position, a struct that can be written as JSON, as a text that may stand in a URL. The list's name
// tells it from every other list, and from the same one with other filters where those decide what a position means.
func Encode[T any](list string, position T) string {
	raw, err := json.Marshal(located[T]{list, position})
	if err != nil {
		return "" // positions are structs of plain values, which cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode reads what Encode wrote for the same list. It refuses anything else; whether the values make sense is for the
// caller to check.
func Decode[T any](list, text string) (T, error) {
	var position T
	if len(text) > maxLength {
		return position, fmt.Errorf("a cursor has at most %d bytes", maxLength)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return position, fmt.Errorf("decode the cursor: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var found located[T]
	if err := d.Decode(&found); err != nil {
		return position, fmt.Errorf("read the cursor's position: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return position, errTrailing
	}
	if Encode(found.List, found.At) != text { // another case of a name, a name twice, another form of an id
		return position, errForm
	}
	if found.List != list {
		return position, errOther
	}
	return found.At, nil
}
