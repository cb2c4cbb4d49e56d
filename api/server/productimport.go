package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

const (
	// maxImportRows bounds the rows of an imported file.
	maxImportRows = 10_000
	// importBudget is how long an import may take. It is less than the gateway waits.
	importBudget = 12 * time.Second
)

// ImportProducts creates and updates products from a CSV file and reports on each row.
func (h *handlers) ImportProducts(c *gin.Context, params orderapi.ImportProductsParams) {
	if !auth.From(c).Operates() {
		httpx.Fail(c, errNotOperator())
		return
	}
	file, err := readImport(c.Request.Body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), importBudget)
	defer cancel()
	done, err := h.store.UpsertProducts(ctx, file.upserts, time.Now().UTC(), params.DryRun)
	switch {
	case database.IsBusy(err):
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"other imports are changing the same products; nothing was written; send the same file again"))
		return
	case errors.Is(err, context.DeadlineExceeded):
		h.log.WarnContext(c.Request.Context(), "an import took too long", "rows", len(file.rows), "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"the import took longer than %s, perhaps because of other imports; send the same file again; "+
				"products that are written already stay unchanged then", importBudget))
		return
	case err != nil:
		h.fail(c, err)
		return
	}

	report := file.report(done)
	report.DryRun = params.DryRun
	if !params.DryRun {
		h.log.InfoContext(c.Request.Context(), "products imported", "actor", auth.From(c).Subject,
			"created", report.Created, "updated", report.Updated, "unchanged", report.Unchanged, "failed", report.Failed)
		h.sellable.soon()
	}
	c.JSON(http.StatusOK, report)
}

// report merges the outcomes of the upserts with the rows that were refused, in the order of the file.
func (f importFile) report(done []orderstore.Upserted) orderapi.ImportReport {
	out := orderapi.ImportReport{Rows: len(f.rows), Items: make([]orderapi.ImportedRow, len(f.rows))}
	next := 0
	for i, row := range f.rows {
		if row.Outcome == "" {
			row.ProductID, row.Outcome = done[next].ProductID, orderapi.ImportedRowOutcome(done[next].Outcome)
			next++
		}
		switch row.Outcome {
		case orderapi.ImportedRowOutcomeCreated:
			out.Created++
		case orderapi.ImportedRowOutcomeUpdated:
			out.Updated++
		case orderapi.ImportedRowOutcomeUnchanged:
			out.Unchanged++
		case orderapi.ImportedRowOutcomeFailed:
			out.Failed++
		}
		out.Items[i] = row
	}
	return out
}
