package stock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Operation is what is remembered of a change that its caller named: what was asked and what was answered.
type Operation struct {
	ID     uuid.UUID
	Hash   []byte // SHA-256 of the request
	Answer []byte // JSON of the answer
}

// Named is a request that its caller named, by an operation id or by an Idempotency-Key. It acts once: sent again it
// gets the first answer, whatever has changed since, and another request under the name is refused. A refusal is not
// remembered.
//
// The ledger knows the ids of changes that moved stock for ever, and the request itself looks there too; what is
// remembered here covers changes that the ledger does not tell of, and the parts of a request that it does not keep.
type Named struct {
	Request
	ID    uuid.UUID
	Hash  []byte // of the request
	ByKey bool   // the name was given as an Idempotency-Key

	again func(answer []byte) (any, error)
}

// NewNamed returns r under a name; T is the type of its answer, and repeat marks one as given before.
func NewNamed[T any](r Request, id uuid.UUID, hash []byte, byKey bool, repeat func(T) T) Named {
	return Named{Request: r, ID: id, Hash: hash, ByKey: byKey, again: func(answer []byte) (any, error) {
		var first T
		if err := json.Unmarshal(answer, &first); err != nil {
			return nil, fmt.Errorf("read what operation %s was answered: %w", id, err)
		}
		return repeat(first), nil
	}}
}

// Reads adds what is remembered of the operation, and what the ledger has of it.
func (n Named) Reads(reads *Reads) {
	n.Request.Reads(reads)
	reads.Named = append(reads.Named, n.ID)
	if n.unledgered() {
		reads.Operations = append(reads.Operations, n.ID)
	}
}

// unledgered reports whether the request itself never looks into the ledger: it writes nothing there.
func (n Named) unledgered() bool {
	switch n.Request.(type) {
	case SetThreshold, CreateItem:
		return true
	}
	return false
}

func (n Named) decide(b *Book) (any, error) {
	if done, ok := b.operations[n.ID]; ok {
		if !bytes.Equal(done.Hash, n.Hash) {
			return nil, n.used()
		}
		return n.again(done.Answer)
	}
	known := len(b.entries[n.ID]) > 0
	if known && n.unledgered() {
		return nil, n.used()
	}
	value, err := n.Request.decide(b)
	var refusal *inventoryapi.Error
	switch {
	case errors.As(err, &refusal) && refusal.Code == inventoryapi.AlreadyExists && refusal.Field == "operation_id":
		return nil, n.used()
	case err != nil:
		return nil, err
	case known: // the ledger answered
		return value, nil
	}
	answer, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("remember what operation %s was answered: %w", n.ID, err)
	}
	done := Operation{n.ID, n.Hash, answer}
	if b.operations == nil {
		b.operations = map[uuid.UUID]Operation{}
	}
	b.operations[n.ID] = done
	b.remembered = append(b.remembered, done)
	return value, nil
}

func (n Named) used() error { return NameUsed(n.ID, n.ByKey) }

// NameUsed refuses another request under a name that stands for something else.
func NameUsed(id uuid.UUID, byKey bool) error {
	if byKey {
		return inventoryapi.Errorf(inventoryapi.IdempotencyKeyReused, "Idempotency-Key", "the Idempotency-Key was already used for a different request; send a new key")
	}
	return operationUsed(id)
}

// NoteOperations tells the book what is remembered of the requests' names.
func (b *Book) NoteOperations(list []Operation) {
	for _, o := range list {
		if b.operations == nil {
			b.operations = map[uuid.UUID]Operation{}
		}
		b.operations[o.ID] = o
	}
}
