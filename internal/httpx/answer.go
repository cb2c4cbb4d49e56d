package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/correlation"
	"holdfast/internal/problem"
)

// Problemer is implemented by typed errors that know how a client sees them.
type Problemer interface {
	error
	Problem() *problem.Problem
}

// Fail ends the request with a problem document made from err: a *problem.Problem or a Problemer
// anywhere in its chain, a body over its limit as 413, a deadline as 503, anything else as a 500 whose
// cause only the log sees.
func Fail(c *gin.Context, err error) {
	ctx := c.Request.Context()
	p := asProblem(ctx, err)
	p.CorrelationID = correlation.From(ctx)
	if p.Status >= 500 {
		_ = c.Error(err) // kept for the access log's owner
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		c.Header("Retry-After", "1")
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte(`{"type":"about:blank","title":"Something went wrong on our side","status":500,"code":"internal_error","retryable":true}`)
	}
	c.Abort()
	c.Data(p.Status, problem.ContentType, body)
}

func asProblem(ctx context.Context, err error) *problem.Problem {
	var p *problem.Problem
	var typed Problemer
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &size):
		return problem.Common.New(problem.BodyTooLarge, "the body may have at most %d bytes", size.Limit)
	case errors.As(err, &p):
		answer := *p // the error may be shared; the correlation id is this request's
		return &answer
	case errors.As(err, &typed):
		return typed.Problem()
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return problem.Common.New(problem.Unavailable, "the request could not be finished in time; try again with the same key")
	default:
		return problem.Common.New(problem.Internal, "the request could not be processed; report the correlation id")
	}
}

// DecodeJSON reads one JSON value into dst and refuses what the contract does not know: another
// content type, unknown fields, wrong types, trailing data, a body over the limit. The error is a
// problem that names the field.
func DecodeJSON(c *gin.Context, dst any) error {
	if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || t != "application/json" {
		return problem.Common.New(problem.UnsupportedMedia, "send the body as application/json").At("Content-Type")
	}
	var read bytes.Buffer
	d := json.NewDecoder(io.TeeReader(c.Request.Body, &read))
	d.DisallowUnknownFields()
	if err := d.Decode(dst); err != nil {
		return decodeProblem(err, read.Bytes(), reflect.TypeOf(dst).Elem())
	}
	if path, found := nul(read.Bytes()); found {
		return problem.Invalid(path, "the character U+0000 is not allowed")
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		if tooLarge(err) {
			return err
		}
		return problem.Invalid("", "the body must be one JSON value and nothing after it")
	}
	return nil
}

func tooLarge(err error) bool {
	var size *http.MaxBytesError
	return errors.As(err, &size)
}

// decodeProblem names what is wrong with raw, which does not fit t. The decoder does not say where a
// malformed UUID or time stood, nor in which element of a list, so the place is looked for again.
func decodeProblem(err error, raw []byte, t reflect.Type) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case tooLarge(err):
		return err
	case errors.Is(err, io.EOF):
		return problem.Invalid("", "the body is empty; a JSON object is required")
	case errors.As(err, &syntax):
		return problem.Invalid("", "the body is not valid JSON: %s at byte %d", syntax, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem.Invalid("", "the body ends in the middle of a JSON value")
	}
	if path, want := locate(raw, t); path != "" {
		return problem.Invalid(path, "expected %s", want)
	}
	switch {
	case errors.As(err, &wrong):
		return problem.Invalid(wrong.Field, "expected %s, found %s", jsonKind(wrong.Type.Kind().String()), wrong.Value)
	}
	// encoding/json has no type for this one; its text is `json: unknown field "x"`.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return problem.Invalid(name, "there is no field %q here", name)
	}
	return problem.Invalid("", "the body cannot be read: %s", err)
}

func jsonKind(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "an integer"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice":
		return "an array"
	case kind == "struct" || kind == "map":
		return "an object"
	case kind == "bool":
		return "true or false"
	}
	return fmt.Sprintf("a %s", kind)
}
