package inventory

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/internal/csvtable"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// The columns of an import.
const (
	columnProduct   = "product_id"
	columnLocation  = "location"
	columnQuantity  = "quantity"
	columnThreshold = "low_stock_threshold"
	columnReason    = "reason"
)

var importColumns = csvtable.Format{
	Required: []string{columnProduct, columnLocation, columnQuantity},
	Optional: []string{columnThreshold, columnReason},
	MaxRows:  inventoryapi.MaxImportRows,
}

// importRow is a row of an import, with its outcome.
type importRow struct {
	line              int    // of the file, from 1
	product, location string // as the file has them, shortened
	count             stock.Count
	done              stock.Counted
	err               error
}

// parseImport reads a file. The error it returns concerns the file as a whole; the error of a row is kept with the row.
func parseImport(content []byte) ([]importRow, error) {
	// csvtable reports a compressed file below, with a better message than the one here.
	packed := bytes.HasPrefix(content, []byte("\x1f\x8b")) || bytes.HasPrefix(content, []byte("PK\x03\x04"))
	if !packed && !utf8.Valid(content) {
		// A file in another encoding is refused as a whole: its readable rows may be wrong too.
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "", "the file is not UTF-8; save it as UTF-8")
	}

	var rows []importRow
	table, err := csvtable.NewReader(bytes.NewReader(content), importColumns)
	seen := map[stock.Place]int{}
	for err == nil {
		var cells csvtable.Row
		if cells, err = table.Next(); err != nil {
			break
		}
		row := parseImportRow(cells)
		if row.err == nil {
			if first, twice := seen[row.count.Place]; twice {
				row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, columnProduct,
					"line %d counts the same product at the same location", first)
			} else {
				seen[row.count.Place] = row.line
			}
		}
		rows = append(rows, row)
	}

	var fault *csvtable.FileError
	switch {
	case errors.As(err, &fault):
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, fault.Column, "%s", fault.Detail)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return rows, nil
}

func parseImportRow(cells csvtable.Row) importRow {
	cell := func(column string) string { return strings.TrimSpace(cells.Cell(column)) }
	row := importRow{
		line:     cells.Line,
		product:  csvtable.Echo(cell(columnProduct)),
		location: csvtable.Echo(cell(columnLocation)),
	}
	if e := cells.Err; e != nil {
		row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, e.Column, "%s", e.Detail)
		return row
	}

	product, err := uuid.Parse(cell(columnProduct))
	if err != nil || len(cell(columnProduct)) != len(uuid.Nil.String()) {
		row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, columnProduct, "%q is not a UUID", row.product)
		return row
	}
	row.count.Place = stock.Place{ProductID: product, Location: cell(columnLocation)}
	if row.count.Quantity, row.err = parseCount(columnQuantity, cell(columnQuantity)); row.err != nil {
		return row
	}
	if text := cell(columnThreshold); text != "" {
		if row.count.Threshold, row.err = parseCount(columnThreshold, text); row.err != nil {
			return row
		}
	}
	row.count.Reason = cell(columnReason)
	if row.count.Reason == "" {
		row.count.Reason = "import"
	}
	return row
}

// plainDigits is the pattern of a count, in a file as elsewhere: no sign, no separator, no exponent.
var plainDigits = regexp.MustCompile(`^[0-9]+$`)

func parseCount(column, text string) (*int64, error) {
	malformed := func() error {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, column,
			"%q is not a whole number; write plain digits, as in 12", csvtable.Echo(text))
	}
	digits := strings.TrimPrefix(text, "-")
	if !plainDigits.MatchString(digits) {
		return nil, malformed()
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case digits != text && (err != nil || n > 0):
		return nil, inventoryapi.Errorf(inventoryapi.NegativeQuantity, column, "%s cannot be negative", column)
	case digits != text:
		return nil, malformed()
	case err != nil:
		return nil, inventoryapi.Errorf(inventoryapi.InvalidQuantity, column,
			"%s is at most %d", column, int64(stock.MaxStock))
	}
	return &n, stock.CheckCount(column, n)
}

// rowDetail names the column at fault and says what is wrong with it.
func rowDetail(err error) string {
	var e *inventoryapi.Error
	var short *inventoryapi.InsufficientStockError
	switch {
	case errors.As(err, &e) && e.Field != "":
		return "column " + e.Field + ": " + e.Detail
	case errors.As(err, &e):
		return e.Detail
	case errors.As(err, &short):
		return "column " + columnQuantity + ": " + short.Detail
	}
	return err.Error()
}
