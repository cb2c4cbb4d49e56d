package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// The columns of an import, in the order in which they are described.
const (
	columnProduct   = "product_id"
	columnLocation  = "location"
	columnQuantity  = "quantity"
	columnThreshold = "low_stock_threshold"
	columnReason    = "reason"
)

var (
	importColumns   = []string{columnProduct, columnLocation, columnQuantity, columnThreshold, columnReason}
	requiredColumns = importColumns[:3]
)

// importRow is a row of an import, and what became of it.
type importRow struct {
	line              int    // of the file, from 1
	product, location string // as the file has them, shortened
	count             stock.Count
	done              stock.Counted
	err               error
}

// maxEcho bounds what is repeated of a field that may be anything, in bytes.
const maxEcho = 64

// parseImport reads a file. Its error concerns the file as a whole; a row's own is kept with the row.
func parseImport(content []byte) ([]importRow, error) {
	content = bytes.TrimPrefix(content, []byte("\uFEFF")) // spreadsheets write a byte order mark
	if !utf8.Valid(content) {
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "", "the file is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(content))
	r.FieldsPerRecord = -1 // a ragged row fails alone
	header, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, columnProduct, "the file is empty; its first row names the columns: %s", strings.Join(importColumns, ", "))
		}
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "", "row 1: %s", csvFault(err))
	}
	columns, err := importHeader(header)
	if err != nil {
		return nil, err
	}
	var rows []importRow
	seen := map[stock.Place]int{}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if len(rows) == inventoryapi.MaxImportRows {
			return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "", "the file has more than %d rows", inventoryapi.MaxImportRows)
		}
		var parse *csv.ParseError
		switch {
		case errors.As(err, &parse):
			rows = append(rows, importRow{line: parse.StartLine, err: inventoryapi.Errorf(inventoryapi.InvalidInput, "", "%s", csvFault(err))})
			continue
		case err != nil:
			return nil, fmt.Errorf("read the file: %w", err)
		}
		row := parseImportRow(columns, fields)
		row.line, _ = r.FieldPos(0)
		if row.err == nil {
			if first, twice := seen[row.count.Place]; twice {
				row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, columnProduct, "row %d counts the same product at the same location", first)
			} else {
				seen[row.count.Place] = row.line
			}
		}
		rows = append(rows, row)
	}
}

// importHeader returns which column each position holds.
func importHeader(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !slices.Contains(importColumns, name):
			return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, echo(header[i]), "row 1, column %d: there is no column %q; the columns are %s", i+1, echo(header[i]), strings.Join(importColumns, ", "))
		case slices.Contains(columns, name):
			return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, name, "row 1, column %d: the column %s is there twice", i+1, name)
		}
		columns[i] = name
	}
	for _, name := range requiredColumns {
		if !slices.Contains(columns, name) {
			return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, name, "row 1: the column %s is missing", name)
		}
	}
	return columns, nil
}

func parseImportRow(columns, fields []string) importRow {
	values := map[string]string{}
	for i, f := range fields[:min(len(fields), len(columns))] {
		values[columns[i]] = strings.TrimSpace(f)
	}
	row := importRow{product: echo(values[columnProduct]), location: echo(values[columnLocation])}
	if len(fields) != len(columns) {
		row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, "", "the row has %d fields, the header has %d", len(fields), len(columns))
		return row
	}
	product, err := uuid.Parse(values[columnProduct])
	if err != nil || len(values[columnProduct]) != len(uuid.Nil.String()) {
		row.err = inventoryapi.Errorf(inventoryapi.InvalidInput, columnProduct, "%q is not a UUID", row.product)
		return row
	}
	row.count.Place = stock.Place{ProductID: product, Location: values[columnLocation]}
	if row.count.Quantity, row.err = parseCount(columnQuantity, values[columnQuantity]); row.err != nil {
		return row
	}
	if text := values[columnThreshold]; text != "" {
		if row.count.Threshold, row.err = parseCount(columnThreshold, text); row.err != nil {
			return row
		}
	}
	row.count.Reason = values[columnReason]
	if row.count.Reason == "" {
		row.count.Reason = "import"
	}
	return row
}

func parseCount(column, text string) (*int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && text[0] == '-':
		return nil, inventoryapi.Errorf(inventoryapi.NegativeQuantity, column, "%s cannot be negative", column)
	case errors.Is(err, strconv.ErrRange):
		return nil, inventoryapi.Errorf(inventoryapi.InvalidQuantity, column, "%s is at most %d", column, int64(stock.MaxStock))
	case err != nil:
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, column, "%q is not a whole number without separators", echo(text))
	}
	return &n, stock.CheckCount(column, n)
}

// csvFault is what is wrong with the form of a row, without the position that the report has anyway.
func csvFault(err error) string {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Sprintf("line %d, column %d: %s", parse.Line, parse.Column, parse.Err)
	}
	return err.Error()
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
		return "column " + columnQuantity + ": the count is less than what is reserved"
	}
	return err.Error()
}

func echo(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	return strings.ToValidUTF8(s[:maxEcho], "") + "…"
}
