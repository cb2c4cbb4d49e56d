// Package cursor makes the opaque texts by which a client asks for the page after the one it has: the
// position of that page's last row, so that rows that come and go meanwhile move no page.
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
)

// Encode writes a position, a struct that can be written as JSON, as a text that may stand in a URL.
func Encode[T any](position T) string {
	raw, err := json.Marshal(position)
	if err != nil {
		return "" // positions are structs of plain values, which cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode reads what Encode wrote. It refuses anything else, the position of another kind of list
// included; whether the values make sense is for the caller to check.
func Decode[T any](text string) (T, error) {
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
	if err := d.Decode(&position); err != nil {
		return position, fmt.Errorf("read the cursor's position: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return position, errTrailing
	}
	if Encode(position) != text { // another case of a name, a name twice, another form of an id
		return position, errForm
	}
	return position, nil
}
