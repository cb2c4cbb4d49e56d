package inventoryapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/problem"
)

// Error is a refusal with a code, an explanation and the field at fault.
type Error struct {
	Code   Code
	Detail string
	Field  string // path of the offending input, as in lines[0].quantity; may be empty
}

// Errorf makes an Error; field may be empty.
func Errorf(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Field: field}
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// ErrorCode returns the code.
func (e *Error) ErrorCode() Code { return e.Code }

// Is makes errors.Is(err, code) work.
func (e *Error) Is(target error) bool { return target == e.Code }

// Problem returns the error as an HTTP client sees it.
func (e *Error) Problem() *problem.Problem {
	p := Table.New(problem.Code(e.Code), "%s", e.Detail).At(e.Field)
	p.Retryable = p.Retryable && !e.refusesExpectedVersion()
	return p
}

// refusesExpectedVersion reports whether the caller's expected_version was not the product's version.
func (e *Error) refusesExpectedVersion() bool {
	return e.Code == VersionConflict && e.Field == "expected_version"
}

// InsufficientStockError refuses a reserve, and then names every product whose stock is too low, or a change by an
// operator that would take reserved stock.
type InsufficientStockError struct {
	Lines  []ShortLine
	Detail string // the reason, if the lines do not give it
}

func (e *InsufficientStockError) Error() string {
	if e.Detail != "" {
		return string(InsufficientStock) + ": " + e.Detail
	}
	short := make([]string, len(e.Lines))
	for i, l := range e.Lines {
		short[i] = fmt.Sprintf("product %s: %d requested, %d available", l.ProductID, l.Requested, l.Available)
	}
	return string(InsufficientStock) + ": " + strings.Join(short, "; ")
}

// ErrorCode returns InsufficientStock.
func (e *InsufficientStockError) ErrorCode() Code { return InsufficientStock }

// Is makes errors.Is(err, InsufficientStock) work.
func (e *InsufficientStockError) Is(target error) bool { return target == InsufficientStock }

// Problem returns the error as an HTTP client sees it.
func (e *InsufficientStockError) Problem() *problem.Problem {
	return Table.New(problem.Code(InsufficientStock), "%s", detail(e)).WithLines(e.Lines)
}

// StatusError refuses because of the reservation's status. The code is AlreadyResolved or ReservationNotPending.
type StatusError struct {
	Code          Code
	ReservationID uuid.UUID
	Status        Status
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: reservation %s is %s", e.Code, e.ReservationID, e.Status)
}

// ErrorCode returns the code.
func (e *StatusError) ErrorCode() Code { return e.Code }

// Is makes errors.Is(err, code) work.
func (e *StatusError) Is(target error) bool { return target == e.Code }

// Problem returns the error as an HTTP client sees it.
func (e *StatusError) Problem() *problem.Problem {
	p := Table.New(problem.Code(e.Code), "%s", detail(e))
	p.CurrentStatus = string(e.Status)
	return p
}

// BackorderStatusError refuses with BackorderNotWaiting: the backorder was granted or cancelled, or has expired.
type BackorderStatusError struct {
	BackorderID uuid.UUID
	Status      BackorderStatus
}

func (e *BackorderStatusError) Error() string {
	return fmt.Sprintf("%s: backorder %s is %s", BackorderNotWaiting, e.BackorderID, e.Status)
}

// ErrorCode returns BackorderNotWaiting.
func (e *BackorderStatusError) ErrorCode() Code { return BackorderNotWaiting }

// Is makes errors.Is(err, BackorderNotWaiting) work.
func (e *BackorderStatusError) Is(target error) bool { return target == BackorderNotWaiting }

// Problem returns the error as an HTTP client sees it.
func (e *BackorderStatusError) Problem() *problem.Problem {
	p := Table.New(problem.Code(BackorderNotWaiting), "%s", detail(e))
	p.CurrentStatus = string(e.Status)
	return p
}

// DeadlineError refuses because of a deadline, that of a reservation or of a backorder, which have the same id. The
// code is ReservationExpired or BackorderPastDeadline (it has passed) or NotDue (it has not passed).
type DeadlineError struct {
	Code          Code
	ReservationID uuid.UUID
	ExpiresAt     time.Time
	Status        Status // expired; or pending (of a backorder: waiting), also if the deadline has passed
}

func (e *DeadlineError) Error() string {
	deadline := e.ExpiresAt.UTC().Format(time.RFC3339Nano)
	subject := "reservation"
	if e.Code == BackorderPastDeadline || e.Status == Status(BackorderWaiting) {
		subject = "backorder"
	}
	return fmt.Sprintf("%s: the deadline of %s %s is %s", e.Code, subject, e.ReservationID, deadline)
}

// ErrorCode returns the code.
func (e *DeadlineError) ErrorCode() Code { return e.Code }

// Is makes errors.Is(err, code) work.
func (e *DeadlineError) Is(target error) bool { return target == e.Code }

// Problem returns the error as an HTTP client sees it.
func (e *DeadlineError) Problem() *problem.Problem {
	p := Table.New(problem.Code(e.Code), "%s", detail(e))
	p.ExpiresAt = e.ExpiresAt.UTC().Format(time.RFC3339Nano)
	p.CurrentStatus = string(e.Status)
	return p
}

// UnavailableError means that there was no usable answer: the operation may or may not have happened. The caller may
// safely send the same request again, and learns the outcome.
type UnavailableError struct{ Cause error }

func (e *UnavailableError) Error() string { return string(Unavailable) + ": " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// ErrorCode returns Unavailable.
func (e *UnavailableError) ErrorCode() Code { return Unavailable }

// Is makes errors.Is(err, Unavailable) work.
func (e *UnavailableError) Is(target error) bool { return target == Unavailable }

// Problem returns the error as an HTTP client sees it, without the cause.
func (e *UnavailableError) Problem() *problem.Problem {
	return Table.New(problem.Unavailable, "the inventory cannot answer now; send the same request again")
}

// detail returns the error's text without its code: a problem has the code in a member of its own.
func detail(err interface {
	error
	ErrorCode() Code
},
) string {
	return strings.TrimPrefix(err.Error(), string(err.ErrorCode())+": ")
}

// FromProblem turns a problem document back into the error that the service raised. The document does not repeat the
// reservation id of the request, so the caller passes it.
func FromProblem(p *problem.Problem, reservationID uuid.UUID) error {
	code := Code(p.Code)
	switch {
	case code == InsufficientStock:
		e := &InsufficientStockError{}
		if err := json.Unmarshal(p.Lines, &e.Lines); err != nil {
			return &UnavailableError{Cause: fmt.Errorf("read the short lines: %w", err)}
		}
		if p.Detail != detail(e) { // the lines do not give the reason
			e.Detail = p.Detail
		}
		return e
	case code == AlreadyResolved, code == ReservationNotPending:
		return &StatusError{Code: code, ReservationID: reservationID, Status: Status(p.CurrentStatus)}
	case code == BackorderNotWaiting:
		return &BackorderStatusError{BackorderID: reservationID, Status: BackorderStatus(p.CurrentStatus)}
	case code == ReservationExpired, code == BackorderPastDeadline, code == NotDue:
		at, err := time.Parse(time.RFC3339Nano, p.ExpiresAt)
		if err != nil {
			return &UnavailableError{Cause: fmt.Errorf("read the deadline: %w", err)}
		}
		return &DeadlineError{Code: code, ReservationID: reservationID, ExpiresAt: at, Status: Status(p.CurrentStatus)}
	case p.Status >= 500, code.Category() == "" && p.Retryable:
		return &UnavailableError{Cause: p}
	default:
		return &Error{Code: code, Detail: p.Detail, Field: p.Field}
	}
}
