// Package cursor makes the opaque texts with which a client asks for its next page. A cursor holds the position of the
// last row of the client's page, so that rows that are added or removed meanwhile shift no page. It also holds the name
// of the list, so that another list refuses it.
package cursor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLength bounds a cursor that Decode reads, in bytes; the cursors of Encode are much shorter.
const maxLength = 512

var (
	errTrailing = errors.New("something follows the position")
	errForm     = errors.New("it is not written as Encode writes it")
	errOther    = errors.New("the cursor is of another list")
)

// located is the content of a cursor.
type located[T any] struct {
	List string `json:"of"`
	At   T      `json:"at"`
}

// Encode writes a position, a struct that can be written as JSON, as a text that may stand in a URL. The name differs
// between any two lists, and between two filters of one list if the filter decides what a position means.
func Encode[T any](list string, position T) string {
	raw, err := json.Marshal(located[T]{list, position})
	if err != nil {
		return "" // this cannot happen: positions are structs of plain values
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Cut cuts the rows of a list down to one page of at most limit rows, and returns the cursor of the page behind it:
// empty if there is none. The caller asks its store for limit+1 rows, and the row too many shows that there is another
// page.
func Cut[T, P any](list string, rows []T, limit int, position func(T) P) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, Encode(list, position(rows[limit-1]))
}

// Decode reads a cursor that Encode wrote for the same list. It refuses any other text. The caller checks whether the
// values make sense.
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
