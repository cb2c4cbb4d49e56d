// Package problem is the error contract of every HTTP interface: RFC 9457 problem documents, and one table per contract
// that gives each code its HTTP status and says whether a retry can help. Servers and clients use the same table, so
// they always agree. It is pure.
package problem

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// Code names a kind of error; it is stable and part of the contract.
type Code string

// The codes that every interface may answer.
const (
	InvalidInput     Code = "invalid_input"
	InvalidQuantity  Code = "invalid_quantity"
	Unauthenticated  Code = "unauthenticated"
	Forbidden        Code = "forbidden"
	RouteNotFound    Code = "route_not_found"
	MethodNotAllowed Code = "method_not_allowed"
	BodyTooLarge     Code = "body_too_large"
	UnsupportedMedia Code = "unsupported_media_type"
	Internal         Code = "internal_error"
	Unavailable      Code = "unavailable"
	RequestTimeout   Code = "request_timeout"
	RateLimited      Code = "rate_limited"
	RequestMalformed Code = "request_malformed"
	HeadersTooLarge  Code = "headers_too_large"
	ExpectationFail  Code = "expectation_failed"
	NotImplemented   Code = "not_implemented"
	VersionUnknown   Code = "http_version_not_supported"
	UpstreamTimeout  Code = "upstream_timeout"
	BadGateway       Code = "bad_gateway"
)

// Kind is one row of a contract's table.
type Kind struct {
	Status    int    // HTTP status code
	Retryable bool   // the same request may succeed later, unchanged
	Title     string // short, the same for every occurrence
}

// Table maps each code of a contract to its kind.
type Table map[Code]Kind

// Common holds the codes above; a contract's table extends it.
var Common = Table{
	InvalidInput:     {http.StatusBadRequest, false, "The request is not valid"},
	InvalidQuantity:  {http.StatusUnprocessableEntity, false, "The quantity is not valid"},
	Unauthenticated:  {http.StatusUnauthorized, false, "Authentication is missing or not valid"},
	Forbidden:        {http.StatusForbidden, false, "Not allowed"},
	RouteNotFound:    {http.StatusNotFound, false, "No such route"},
	MethodNotAllowed: {http.StatusMethodNotAllowed, false, "Method not allowed here"},
	BodyTooLarge:     {http.StatusRequestEntityTooLarge, false, "The request body is too large"},
	UnsupportedMedia: {http.StatusUnsupportedMediaType, false, "The content type is not supported"},
	RequestTimeout:   {http.StatusRequestTimeout, true, "The request did not arrive in time"},
	RateLimited:      {http.StatusTooManyRequests, true, "Too many requests"},
	RequestMalformed: {http.StatusBadRequest, false, "The request is not valid HTTP"},
	HeadersTooLarge:  {http.StatusRequestHeaderFieldsTooLarge, false, "The request's headers are too large"},
	ExpectationFail:  {http.StatusExpectationFailed, false, "The expectation is not supported"},
	NotImplemented:   {http.StatusNotImplemented, false, "The transfer encoding is not supported"},
	VersionUnknown:   {http.StatusHTTPVersionNotSupported, false, "The version of HTTP is not supported"},
	Internal:         {http.StatusInternalServerError, true, "Something went wrong on our side"},
	Unavailable:      {http.StatusServiceUnavailable, true, "Temporarily unavailable"},
	UpstreamTimeout:  {http.StatusGatewayTimeout, true, "A service did not answer in time"},
	BadGateway:       {http.StatusBadGateway, true, "A service gave an unusable answer"},
}

// Extend returns a new table with the rows of more added to t.
func (t Table) Extend(more Table) Table {
	out := maps.Clone(t)
	maps.Copy(out, more)
	return out
}

// New makes a problem of the given code. A code without a row becomes Internal, so that a client sees only codes that
// the contract lists.
func (t Table) New(code Code, format string, args ...any) *Problem {
	kind, ok := t[code]
	if !ok {
		code, kind = Internal, Common[Internal]
	}
	return &Problem{
		Type:      "about:blank",
		Title:     kind.Title,
		Status:    kind.Status,
		Code:      code,
		Detail:    fmt.Sprintf(format, args...),
		Retryable: kind.Retryable,
	}
}

// Problem is the body of every error answer (RFC 9457 with extension members).
type Problem struct {
	Type          string          `json:"type"`
	Title         string          `json:"title"`
	Status        int             `json:"status"`
	Detail        string          `json:"detail,omitempty"`
	Code          Code            `json:"code"`
	Field         string          `json:"field,omitempty"` // JSON path of the offending input, as in lines[0].quantity
	Lines         json.RawMessage `json:"lines,omitempty"` // per-line details, for example each short line
	OrderID       string          `json:"order_id,omitempty"`
	CurrentStatus string          `json:"current_status,omitempty"` // of the order or reservation
	ExpiresAt     string          `json:"expires_at,omitempty"`     // RFC 3339; the deadline of the order or reservation
	Retryable     bool            `json:"retryable"`
	CorrelationID string          `json:"correlation_id,omitempty"`
}

// Error makes a Problem usable as an error.
func (p *Problem) Error() string {
	if p.Field != "" {
		return fmt.Sprintf("%s: %s (%s)", p.Code, p.Detail, p.Field)
	}
	return fmt.Sprintf("%s: %s", p.Code, p.Detail)
}

// At returns p with the offending field named.
func (p *Problem) At(field string) *Problem { p.Field = field; return p }

// WithLines returns p with per-line details; lines must marshal to a JSON array.
func (p *Problem) WithLines(lines any) *Problem {
	raw, err := json.Marshal(lines)
	if err != nil {
		return p
	}
	p.Lines = raw
	return p
}

// Invalid is shorthand for the commonest problem: one field of the request is wrong.
func Invalid(field, format string, args ...any) *Problem {
	return Common.New(InvalidInput, format, args...).At(field)
}

// maxBody bounds what a client reads of an error answer, in bytes.
const maxBody = 1 << 20

// Read decodes an error answer. For an answer that is not a problem document, such as a proxy's page, it returns a
// Problem that is retryable only if the status is 408, 429 or 5xx.
func Read(res *http.Response) *Problem {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	var p Problem
	if err == nil && json.Unmarshal(body, &p) == nil && p.Code != "" {
		p.Status = res.StatusCode
		return &p
	}

	code := BadGateway
	if res.StatusCode < 500 {
		code = InvalidInput
	}
	retryable := res.StatusCode >= 500 ||
		res.StatusCode == http.StatusRequestTimeout ||
		res.StatusCode == http.StatusTooManyRequests
	return &Problem{
		Type:      "about:blank",
		Title:     http.StatusText(res.StatusCode),
		Status:    res.StatusCode,
		Code:      code,
		Retryable: retryable,
		Detail:    fmt.Sprintf("answer with status %d is not a problem document", res.StatusCode),
	}
}
