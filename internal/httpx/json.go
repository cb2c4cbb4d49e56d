package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"holdfast/internal/exactid"
	"holdfast/internal/problem"
	"holdfast/internal/text"
)

const jsonType = "application/json"

// maxDepth bounds how deep objects and arrays may be nested; no body of the contracts needs half of it.
const maxDepth = 16

// maxEcho bounds how much of a client's name an answer repeats, in bytes.
const maxEcho = 64

// linesMember is the one member whose text may have several lines.
const linesMember = "description"

// strict are the options for reading a body into a Go value. The library's defaults are strict already: names match
// exactly, no name is given twice, and all text is UTF-8.
var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, id *uuid.UUID) error {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != '"' {
			return errNotUUID
		}
		*id, err = exactid.Parse(token.String())
		return err
	})),
)

var errNotUUID = errors.New("expected " + exactid.Rule)

// DecodeJSON reads the request's body into dst, by ParseJSON and UnmarshalJSON. It reads the body only once: after
// Contract.Validate, it uses the bytes that Validate has checked. The error is a problem that names the field, a
// BodyError, or a *http.MaxBytesError.
func DecodeJSON(c *gin.Context, dst any) error {
	raw, err := readJSON(c, true)
	if err != nil {
		return err
	}
	return UnmarshalJSON(raw, dst)
}

// DecodeOptionalJSON is DecodeJSON for an optional body. Without a body, dst stays unchanged and given is false. The
// form in which the client announces the length does not matter.
func DecodeOptionalJSON(c *gin.Context, dst any) (given bool, err error) {
	raw, err := readJSON(c, false)
	if err != nil || raw == nil {
		return false, err
	}
	return true, UnmarshalJSON(raw, dst)
}

// bodyKey is the key of gin's context under which readJSON keeps the body.
const bodyKey = "holdfast.json"

// readJSON returns the request's body after ParseJSON has accepted it. If the body is not required and the request has
// none, it returns nil.
func readJSON(c *gin.Context, required bool) ([]byte, error) {
	if kept, found := c.Get(bodyKey); found {
		raw, _ := kept.([]byte)
		return raw, nil
	}

	if required {
		if err := wantType(c, jsonType); err != nil {
			return nil, err
		}
	}
	raw, err := ReadBody(c)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 && !required {
		c.Set(bodyKey, []byte(nil))
		return nil, nil
	}

	if !required {
		if err := wantType(c, jsonType); err != nil {
			return nil, err
		}
	}
	if err := ParseJSON(raw); err != nil {
		return nil, err
	}
	c.Set(bodyKey, raw)
	return raw, nil
}

func wantType(c *gin.Context, wanted string) error {
	if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || t != wanted {
		return problem.Common.New(problem.UnsupportedMedia, "send the body as %s", wanted).At("Content-Type")
	}
	return nil
}

// ParseJSON checks that raw is one JSON value that has one meaning: no name twice in an object (with or without
// escapes), UTF-8 without lone surrogates, no characters that text.Unfit refuses, no null, no number beyond a float64,
// and no bytes after the value. The error is a problem that names the field.
func ParseJSON(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	plain := plainText(raw)
	for first := true; ; first = false {
		token, err := d.ReadToken()
		if err != nil {
			return syntaxProblem(err, first)
		}
		switch token.Kind() {
		case '{', '[':
			if d.StackDepth() > maxDepth {
				return problem.Invalid(place(d.StackPointer()),
					"objects and arrays may lie at most %d deep in each other", maxDepth)
			}
		case '"':
			if plain {
				break
			}
			if err := fitString(d, token.String()); err != nil {
				return err
			}
		case '0':
			if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
				return problem.Invalid(place(d.StackPointer()), "the number is out of range")
			}
		case 'n':
			return problem.Invalid(place(d.StackPointer()), "null is not a value here; leave it out, or give one")
		default: // the other kinds need no check
		}
		if d.StackDepth() == 0 {
			break
		}
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return problem.Invalid("", "the body must be one JSON value and nothing after it")
	}
	return nil
}

// plainText reports whether raw has only ASCII characters and no escapes. Then no string of raw can hold an unfit
// character, because JSON does not allow a control character without an escape.
func plainText(raw []byte) bool {
	for _, b := range raw {
		if b == '\\' || b >= 0x7f {
			return false
		}
	}
	return true
}

func fitString(d *jsontext.Decoder, s string) error {
	find := text.Unfit
	if d.StackPointer().LastToken() == linesMember {
		find = text.UnfitLines
	}
	if r, found := find(s); found {
		return problem.Invalid(place(d.StackPointer()), "the character U+%04X is not allowed", r)
	}
	return nil
}

// syntaxProblem says in this package's own words what is wrong, because the library's errors are for its callers and
// not for clients. first means that the error came before any token.
func syntaxProblem(err error, first bool) error {
	var syntax *jsontext.SyntacticError
	switch {
	case first && errors.Is(err, io.EOF):
		return problem.Invalid("", "the body is empty; a JSON object is required")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return problem.Invalid("", "the body ends in the middle of a JSON value")
	case !errors.As(err, &syntax):
		return problem.Invalid("", "the body is not valid JSON")
	}

	field := place(syntax.JSONPointer)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return problem.Invalid(field, "%q is given twice; give it once", echo(syntax.JSONPointer.LastToken()))
	case strings.Contains(err.Error(), "invalid UTF-8"):
		return problem.Invalid(field, "the text is not UTF-8, at byte %d of the body", syntax.ByteOffset)
	case strings.Contains(err.Error(), "surrogate"):
		return problem.Invalid(field,
			"half of a surrogate pair is no character, at byte %d of the body", syntax.ByteOffset)
	}
	return problem.Invalid(field, "the body is not valid JSON from byte %d on", syntax.ByteOffset)
}

// UnmarshalJSON reads raw, which ParseJSON has accepted, into dst, and refuses names that dst does not have, values of
// another type, and numbers that dst would hold as another number. The error is a problem that names the field.
func UnmarshalJSON(raw []byte, dst any) error {
	err := json.Unmarshal(raw, dst, strict)
	if err == nil {
		return nil
	}
	var wrong *json.SemanticError
	if !errors.As(err, &wrong) {
		return syntaxProblem(err, false)
	}
	field := place(wrong.JSONPointer)
	if errors.Is(wrong.Err, json.ErrUnknownName) {
		return problem.Invalid(field, "there is no field %q here", echo(wrong.JSONPointer.LastToken()))
	}
	return problem.Invalid(field, "expected %s, found %s", kindOf(wrong.GoType), foundKind(wrong.JSONKind))
}

func kindOf(t reflect.Type) string {
	if t == nil {
		return "another value"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[uuid.UUID]():
		return exactid.Rule
	case t.Name() == "Time":
		return "a time as in 2026-01-31T12:00:00Z (RFC 3339)"
	}
	switch t.Kind() { //nolint:exhaustive // the rest are structs and maps
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return wantInteger
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	}
	return "an object"
}

// wantInteger describes the grammar of integers in a body.
const wantInteger = "an integer, written in digits without a fraction or an exponent and within 64 bits"

func foundKind(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "another number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "true or false"
	default:
		return "something else"
	}
}

// place writes a JSON pointer in the form that people use: lines[0].quantity.
func place(p jsontext.Pointer) string {
	parts := []string{}
	for part := range p.Tokens() {
		parts = append(parts, part)
	}
	return fieldPath(parts)
}

func fieldPath(pointer []string) string {
	var b strings.Builder
	for _, part := range pointer {
		if _, err := strconv.Atoi(part); err == nil {
			fmt.Fprintf(&b, "[%s]", echo(part))
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(echo(part))
	}
	return b.String()
}

// echo returns the part of a client's own text that an answer repeats: at most maxEcho bytes, and without characters
// that break a line or change its direction.
func echo(s string) string {
	if len(s) > maxEcho {
		s = s[:maxEcho]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if _, unfit := text.Unfit(string(r)); unfit || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, s)
}
