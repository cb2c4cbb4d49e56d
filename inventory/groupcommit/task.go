package groupcommit

import (
	"context"
	"errors"

	"holdfast/inventory/stock"
)

// Answer is the answer to one request: its value, or the error that refused it.
type Answer[T any] struct {
	Value T
	Err   error
}

// Task is a request with the place for its answer. NewTask makes one; until the Writer returns, it belongs to the
// Writer.
type Task interface {
	// reads returns what the transaction must read to decide the task.
	reads() *stock.Reads
	// tellsVersion reports whether the answer contains the product's version.
	tellsVersion() bool
	// decide answers the request. Its only errors are stock.ErrStale and stock.MoreError (the book does not have what the
	// task needs) and stock.ErrVersionTold (the task must not be in one batch with an earlier one).
	decide(book *stock.Book) error
	// fail answers the request with an error.
	fail(err error)
	// err returns the error of the answer.
	err() error
}

// TypedTask is a Task whose answer has type T.
type TypedTask[T any] struct {
	request stock.Request[T]
	needs   stock.Reads
	answer  Answer[T]
}

// NewTask returns a task for one Submit.
func NewTask[T any](request stock.Request[T]) *TypedTask[T] {
	t := &TypedTask[T]{request: request}
	request.Reads(&t.needs)
	return t
}

// Answer returns the answer, once Submit has returned without an error.
func (t *TypedTask[T]) Answer() Answer[T] { return t.answer }

func (t *TypedTask[T]) reads() *stock.Reads { return &t.needs }

func (t *TypedTask[T]) tellsVersion() bool { return t.request.TellsVersion() }

func (t *TypedTask[T]) decide(book *stock.Book) error {
	value, err := stock.Decide(book, t.request)
	if err == stock.ErrStale || err == stock.ErrVersionTold { //nolint:errorlint // sentinels that are never wrapped
		return err
	}
	if err != nil {
		var more *stock.MoreError
		if errors.As(err, &more) {
			return more
		}
		t.fail(err)
		return nil
	}
	t.answer = Answer[T]{Value: value}
	return nil
}

func (t *TypedTask[T]) fail(err error) { t.answer = Answer[T]{Err: err} }

func (t *TypedTask[T]) err() error { return t.answer.Err }

// Apply decides the requests in one batch, in order, commits their changes together, and returns one answer for each. A
// refused request changes nothing and does not affect the others. If the writer is overloaded or stops, or ctx ends
// first, each answer is an UnavailableError, and the caller may send the same requests again.
func Apply[T any](ctx context.Context, w *Writer, requests ...stock.Request[T]) []Answer[T] {
	typed, tasks := newTasks(requests)
	err := w.Submit(ctx, tasks...)
	if err != nil {
		// The tasks may belong to a batch that has begun, so their answers must not be read.
		answers := make([]Answer[T], len(requests))
		for i := range answers {
			answers[i].Err = err
		}
		return answers
	}
	return answersOf(typed)
}

// ApplyOne is Apply for one request, without the slices.
func ApplyOne[T any](ctx context.Context, w *Writer, request stock.Request[T]) *Answer[T] {
	t := NewTask(request)
	if err := w.Submit(ctx, t); err != nil {
		return &Answer[T]{Err: err} // t may belong to a batch that has begun
	}
	return &t.answer
}

// DryRun decides the requests as Apply would and writes nothing. The error means that the database does not answer.
func DryRun[T any](ctx context.Context, w *Writer, requests ...stock.Request[T]) ([]Answer[T], error) {
	typed, tasks := newTasks(requests)
	if err := w.committer.dryRun(ctx, tasks); err != nil {
		return nil, err
	}
	return answersOf(typed), nil
}

func newTasks[T any](requests []stock.Request[T]) (typed []*TypedTask[T], tasks []Task) {
	typed, tasks = make([]*TypedTask[T], len(requests)), make([]Task, len(requests))
	for i, r := range requests {
		typed[i] = NewTask(r)
		tasks[i] = typed[i]
	}
	return typed, tasks
}

func answersOf[T any](tasks []*TypedTask[T]) []Answer[T] {
	answers := make([]Answer[T], len(tasks))
	for i, t := range tasks {
		answers[i] = t.answer
	}
	return answers
}
