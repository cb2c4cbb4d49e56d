package stock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Operation is a change that its caller named, as the database remembers it: the request and its answer.
type Operation struct {
	ID     uuid.UUID
	Hash   []byte // SHA-256 of the request
	Answer []byte // JSON of the answer
}

// Named is a request that its caller named, by an operation id or by an Idempotency-Key. It acts once: sent again, it
// gets the first answer, whatever has changed since. Another request under the same name is refused. A refusal is not
// remembered.
//
// The ledger has the ids of all changes that moved stock, and the request itself looks there too. The remembered
// operation covers changes without an entry in the ledger, and the parts of a request that an entry does not contain.
type Named[T any] struct {
	Request[T]
	ID    uuid.UUID
	Hash  []byte // of the request
	ByKey bool   // the name was given as an Idempotency-Key

	unledgered bool      // the request itself does not read the ledger, because it writes no entry
	repeat     func(T) T // marks an answer as given before
}

// NewNamed returns r under a name; repeat marks an answer as given before.
func NewNamed[T any](r Request[T], id uuid.UUID, hash []byte, byKey bool, repeat func(T) T) Named[T] {
	var own Reads
	r.Reads(&own)
	return Named[T]{
		Request:    r,
		ID:         id,
		Hash:       hash,
		ByKey:      byKey,
		unledgered: len(own.Operations) == 0,
		repeat:     repeat,
	}
}

// Reads adds the remembered operation and its entries in the ledger.
func (n Named[T]) Reads(reads *Reads) {
	n.Request.Reads(reads)
	reads.Named = append(reads.Named, n.ID)
	if n.unledgered {
		reads.Operations = append(reads.Operations, n.ID)
	}
}

func (n Named[T]) decide(b *Book) (out T, err error) {
	if done, ok := b.operations[n.ID]; ok {
		if !bytes.Equal(done.Hash, n.Hash) {
			return out, n.used()
		}
		return n.firstAnswer(done)
	}
	ledgered := len(b.entries[n.ID]) > 0
	if ledgered && n.unledgered {
		return out, n.used()
	}

	answer, err := n.Request.decide(b)
	var refusal *inventoryapi.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == inventoryapi.AlreadyExists && refusal.Field == "operation_id":
		return out, n.used()
	case err != nil:
		return out, err
	case ledgered: // the answer comes from the ledger
		return answer, nil
	}

	raw, err := json.Marshal(answer)
	if err != nil {
		return out, fmt.Errorf("remember the answer to operation %s: %w", n.ID, err)
	}
	done := Operation{n.ID, n.Hash, raw}
	b.NoteOperations([]Operation{done})
	b.newOperations = append(b.newOperations, done)
	return answer, nil
}

func (n Named[T]) firstAnswer(done Operation) (first T, err error) {
	if err := json.Unmarshal(done.Answer, &first); err != nil {
		return first, fmt.Errorf("read the first answer to operation %s: %w", n.ID, err)
	}
	return n.repeat(first), nil
}

func (n Named[T]) used() error { return NameUsed(n.ID, n.ByKey) }

// NameUsed refuses a request under a name that was used for a different one.
func NameUsed(id uuid.UUID, byKey bool) error {
	if byKey {
		return inventoryapi.Errorf(inventoryapi.IdempotencyKeyReused, "Idempotency-Key",
			"the Idempotency-Key was already used for a different request; send a new key")
	}
	return operationUsed(id)
}

// NoteOperations adds remembered operations to the book.
func (b *Book) NoteOperations(list []Operation) {
	if b.operations == nil {
		b.operations = map[uuid.UUID]Operation{}
	}
	for _, o := range list {
		b.operations[o.ID] = o
	}
}
