package inventory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// importChunk is the number of rows in a commit: large enough for a fast import, small enough that orders for the same
// products wait only moments.
const importChunk = 200

// importSpace is the namespace of import ids.
var importSpace = uuid.MustParse("0d8ab2c6-5b0e-5c2f-8d43-1f6f6f2f8a37")

// ImportStock implements inventoryapi.Administration. It applies the rows in chunks. Without a key it compares each
// count with the stock, so a client may send a file again, also after another file. Under a key it remembers each chunk
// that it has committed: if the database stops answering, the same import continues there later.
func (s *Service) ImportStock(
	ctx context.Context, csv io.Reader, o inventoryapi.ImportOptions,
) (inventoryapi.ImportReport, error) {
	if err := checkImport(o); err != nil {
		return inventoryapi.ImportReport{}, err
	}
	content, err := io.ReadAll(io.LimitReader(csv, inventoryapi.MaxImportBytes+1))
	switch {
	case err != nil:
		return inventoryapi.ImportReport{}, brokenOff(err)
	case len(content) > inventoryapi.MaxImportBytes:
		return inventoryapi.ImportReport{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "",
			"the file has more than %d bytes", inventoryapi.MaxImportBytes)
	}
	rows, err := parseImport(content)
	if err != nil {
		return inventoryapi.ImportReport{}, err
	}

	run := importRun{service: s, id: uuid.New(), options: o}
	if o.Key != "" {
		if err := run.claim(ctx, content); err != nil {
			return inventoryapi.ImportReport{}, err
		}
	}
	for chunk := range slices.Chunk(rows, importChunk) {
		if err := run.apply(ctx, chunk); err != nil {
			return inventoryapi.ImportReport{}, err
		}
	}
	return importReport(rows, o.DryRun), nil
}

func checkImport(o inventoryapi.ImportOptions) error {
	if err := checkKey(o.Key); err != nil {
		return err
	}
	return stock.CheckActor(o.Actor)
}

// brokenOff tells the client that its file did not arrive complete. A limit or a time-out of the server stays as it is.
func brokenOff(err error) error {
	var size *http.MaxBytesError
	if errors.As(err, &size) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read the file: %w", err)
	}
	return inventoryapi.Errorf(inventoryapi.InvalidInput, "",
		"the upload ended before the end of the file; nothing was changed, send the whole file again")
}

// importRun is one run of an import.
type importRun struct {
	service *Service
	id      uuid.UUID
	options inventoryapi.ImportOptions

	hash   []byte       // of the file; only under a key
	before store.Import // by earlier runs; only under a key
}

// claim reads the import of the key and takes the key before anything is written, so that another file which arrives
// under the key at the same time is refused.
func (r *importRun) claim(ctx context.Context, content []byte) (err error) {
	key := OperationID(r.options.Actor, r.options.Key)
	hash := sha256.Sum256(content)
	r.id, r.hash = uuid.NewSHA1(importSpace, key[:]), hash[:]
	r.before, err = r.service.store.GetImport(ctx, r.id)
	switch {
	case err != nil:
		return unavailable(err)
	case r.before.ContentHash != nil && !bytes.Equal(r.before.ContentHash, r.hash):
		return errOtherFile()
	case r.before.ContentHash == nil && !r.options.DryRun:
		return r.service.settleImport(ctx, r.id, r.hash, nil)
	}
	return nil
}

// apply writes the rows of a chunk that an earlier run has not written, and fills in their outcomes.
func (r *importRun) apply(ctx context.Context, chunk []importRow) error {
	var batch []stock.Request[stock.Counted]
	var rows []*importRow // of the batch's requests
	for i := range chunk {
		row := &chunk[i]
		switch {
		case row.err != nil:
		case r.before.Settled[row.line]:
			row.done = stock.Counted{Outcome: inventoryapi.OutcomeReplayed, Replayed: true}
		default:
			c := row.count
			c.OperationID = uuid.NewSHA1(r.id, fmt.Appendf(nil, "%s %s", c.Place.ProductID, c.Place.Location))
			c.Actor, c.CorrelationID = r.options.Actor, correlation.From(ctx)
			if row.err = c.Check(); row.err == nil {
				batch, rows = append(batch, c), append(rows, row)
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}

	answers, err := r.decide(ctx, batch)
	if err != nil {
		return err
	}
	var settled []int
	for i, a := range answers {
		switch {
		case a.Err == nil:
			rows[i].done = a.Value
			settled = append(settled, rows[i].line)
		case inventoryapi.CodeOf(a.Err) == inventoryapi.Unavailable, inventoryapi.CodeOf(a.Err) == "":
			return a.Err // not a fault of the row: the import stops, and continues when the client sends it again
		default:
			rows[i].err = a.Err
		}
	}

	if r.options.DryRun || r.options.Key == "" || len(settled) == 0 {
		return nil
	}
	return r.service.settleImport(ctx, r.id, r.hash, settled)
}

// settleImport remembers the lines of a file that were written. It refuses if the key belongs to another file.
func (s *Service) settleImport(ctx context.Context, id uuid.UUID, hash []byte, lines []int) error {
	ours, err := s.store.SettleImportRows(ctx, id, hash, lines)
	switch {
	case err != nil:
		return unavailable(err)
	case !ours:
		return errOtherFile()
	}
	return nil
}

func errOtherFile() error {
	return inventoryapi.Errorf(inventoryapi.IdempotencyKeyReused, "Idempotency-Key",
		"the key was already used for another file; send a new key")
}

func (r *importRun) decide(
	ctx context.Context, batch []stock.Request[stock.Counted],
) ([]groupcommit.Answer[stock.Counted], error) {
	if r.options.DryRun {
		return groupcommit.DryRun(ctx, r.service.writer, batch...)
	}
	answers := apply(ctx, r.service, batch...)
	if len(batch) > 1 && allConflict(answers) {
		// Another transaction has locked the stock of at least one row. Each row is sent alone, so that only the rows on
		// locked stock fail.
		var each sync.WaitGroup
		for i := range batch {
			each.Go(func() { answers[i] = apply(ctx, r.service, batch[i])[0] })
		}
		each.Wait()
	}
	return answers, nil
}

func allConflict(answers []groupcommit.Answer[stock.Counted]) bool {
	return !slices.ContainsFunc(answers, func(a groupcommit.Answer[stock.Counted]) bool {
		return inventoryapi.CodeOf(a.Err) != inventoryapi.VersionConflict
	})
}

func importReport(rows []importRow, dryRun bool) inventoryapi.ImportReport {
	out := inventoryapi.ImportReport{DryRun: dryRun, Rows: make([]inventoryapi.ImportRow, len(rows))}
	out.Totals.Rows = len(rows)
	for i, r := range rows {
		row := inventoryapi.ImportRow{Row: r.line, ProductID: r.product, Location: r.location, Outcome: r.done.Outcome}
		if r.err != nil {
			row.Outcome = inventoryapi.OutcomeFailed
			row.Code, row.Detail = string(inventoryapi.CodeOf(r.err)), rowDetail(r.err)
		}
		switch row.Outcome {
		case inventoryapi.OutcomeCreated:
			out.Totals.Created++
		case inventoryapi.OutcomeAdjusted:
			out.Totals.Adjusted++
		case inventoryapi.OutcomeUnchanged:
			out.Totals.Unchanged++
		case inventoryapi.OutcomeReplayed:
			out.Totals.Replayed++
		case inventoryapi.OutcomeFailed:
			out.Totals.Failed++
		}
		out.Rows[i] = row
	}
	return out
}
