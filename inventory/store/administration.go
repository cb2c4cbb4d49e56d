package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/inventory/stock"
)

// Locations returns all locations, by priority.
func (s *Store) Locations(ctx context.Context) ([]Location, error) {
	rows, err := s.q.Locations(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("read locations: %w", err)
	}
	out := make([]Location, len(rows))
	for i, r := range rows {
		out[i] = Location{Code: r.Code, Name: r.Name, Priority: int(r.Priority)}
	}
	return out, nil
}

// PutLocationOnce creates or changes a location under a name. If the name was used before, it changes nothing and
// returns the remembered operation.
func (s *Store) PutLocationOnce(
	ctx context.Context, l Location, name stock.Operation,
) (done stock.Operation, claimed bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := s.q.ClaimOperation(ctx, tx, inventorydb.ClaimOperationParams{
			OperationID: name.ID, RequestHash: name.Hash, Answer: name.Answer,
		})
		if err != nil {
			return fmt.Errorf("claim operation %s: %w", name.ID, err)
		}
		if claimed = n > 0; !claimed {
			found, err := s.q.Operations(ctx, tx, []uuid.UUID{name.ID})
			if err != nil || len(found) == 0 {
				return fmt.Errorf("read operation %s: %w", name.ID, cmp.Or(err, ErrVersionConflict))
			}
			done = stock.Operation{ID: name.ID, Hash: found[0].RequestHash, Answer: found[0].Answer}
			return nil
		}
		return s.putLocations(ctx, tx, []Location{l})
	})
	return done, claimed, err
}

// Import is the remembered state of an import.
type Import struct {
	ContentHash []byte       // nil if the import is new
	Settled     map[int]bool // the rows that succeeded
}

// GetImport returns the remembered state of an import, or the zero value if the import is new.
func (s *Store) GetImport(ctx context.Context, id uuid.UUID) (Import, error) {
	row, err := s.q.GetImport(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return Import{}, nil
	}
	if err != nil {
		return Import{}, fmt.Errorf("read import %s: %w", id, err)
	}
	out := Import{ContentHash: row.ContentHash, Settled: make(map[int]bool, len(row.SettledRows))}
	for _, n := range row.SettledRows {
		out.Settled[int(n)] = true
	}
	return out, nil
}

// SettleImportRows remembers rows of an import that succeeded. ours is false if the id belongs to an import of another
// content.
func (s *Store) SettleImportRows(
	ctx context.Context, id uuid.UUID, contentHash []byte, rows []int,
) (ours bool, err error) {
	arg := inventorydb.SettleImportRowsParams{
		ImportID:    id,
		ContentHash: contentHash,
		SettledRows: make([]int32, len(rows)),
	}
	for i, n := range rows {
		arg.SettledRows[i] = int32(n) //nolint:gosec // a line of a file of 8 MB
	}
	n, err := s.q.SettleImportRows(ctx, s.pool, arg)
	if err != nil {
		return false, fmt.Errorf("remember the rows of import %s: %w", id, err)
	}
	return n > 0, nil
}
