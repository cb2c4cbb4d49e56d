package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/api/orderapi"
	"holdfast/internal/csvtable"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// Limits of the specification's ProductInput, which also apply to the cells of a CSV file.
const (
	maxName        = 200
	maxDescription = 5000
	maxCategory    = 100
	maxPrice       = 1_000_000_000_000 // minor units
)

var skuFormat = regexp.MustCompile(`^[A-Z0-9][A-Z0-9._-]{0,63}$`)

// pricePrefix begins the name of a column of prices; the currency follows.
const pricePrefix = "price_"

// productColumns are the columns of a file of products.
var productColumns = csvtable.Format{
	Required: []string{"sku", "name"},
	Optional: []string{"description", "category", "active"},
	Family: &csvtable.Family{Prefix: pricePrefix, Example: "price_EUR", Rest: func(rest string) (string, error) {
		currency := strings.ToUpper(rest)
		_, err := money.Exponent(currency)
		return currency, err
	}},
	MaxRows:   maxImportRows,
	Multiline: []string{"description"},
	Begins: func(columns, cells []string) bool {
		at := slices.Index(columns, "sku")
		return at >= 0 && skuFormat.MatchString(cells[at])
	},
}

// importFile holds the rows of a CSV file. Each row without an outcome yet has an upsert, in the same order.
type importFile struct {
	rows    []orderapi.ImportedRow
	upserts []orderstore.ProductUpsert
}

// readImport reads a CSV file of products. The error is a problem of the file as a whole; the fault of a single row is
// in that row.
func readImport(body io.Reader) (importFile, error) {
	var f importFile
	table, err := csvtable.NewReader(body, productColumns)
	lines := map[string]int{} // the line of each SKU
	for err == nil {
		var row csvtable.Row
		if row, err = table.Next(); err == nil {
			f.add(table.Columns(), row, lines)
		}
	}

	var fault *csvtable.FileError
	switch {
	case errors.As(err, &fault):
		return f, problem.Invalid(fault.Column, "%s", fault.Detail)
	case !errors.Is(err, io.EOF):
		return f, brokenOff(err)
	case len(f.rows) == 0:
		return f, problem.Invalid("", "the file has no rows below the names of its columns")
	}
	return f, nil
}

// brokenOff returns the problem of a file that did not arrive whole. It keeps the error if the server itself stopped
// the upload, at a size limit or a deadline.
func brokenOff(err error) error {
	var size *http.MaxBytesError
	if errors.As(err, &size) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return problem.Invalid("",
		"the upload ended before the end of the file; nothing was written; send the whole file again")
}

// add reads one row, as an upsert or as a failed one.
func (f *importFile) add(columns []string, row csvtable.Row, lines map[string]int) {
	out := orderapi.ImportedRow{Line: row.Line, SKU: csvtable.Echo(row.Cell("sku"))}
	fail := func(code orderapi.ImportedRowCode, column, detail string) {
		out.Outcome, out.Code, out.Field, out.Detail = orderapi.ImportedRowOutcomeFailed, code, column, detail
		f.rows = append(f.rows, out)
	}
	if e := row.Err; e != nil {
		code := orderapi.InvalidRow
		if e.Column != "" {
			code = orderapi.InvalidValue
		}
		fail(code, e.Column, e.Detail)
		return
	}

	u, column, err := readRow(columns, row.Cells)
	if err != nil {
		fail(orderapi.InvalidValue, column, err.Error())
		return
	}
	if first, again := lines[u.SKU]; again {
		fail(orderapi.DuplicateSKU, "sku", fmt.Sprintf("line %d has this SKU already", first))
		return
	}

	lines[u.SKU] = row.Line
	f.rows = append(f.rows, out)
	f.upserts = append(f.upserts, u)
}

// readRow reads a row's cells. An error concerns the returned column.
func readRow(columns, cells []string) (u orderstore.ProductUpsert, column string, err error) {
	for i, name := range columns {
		cell := cells[i]
		switch name {
		case "sku":
			if u.SKU = cell; !skuFormat.MatchString(cell) {
				err = errors.New("a SKU has capital letters, digits, dots, underscores and hyphens, at most 64")
			}
		case "name":
			if u.Name = cell; strings.TrimSpace(cell) == "" {
				err = errors.New("a product needs a name")
			} else {
				err = atMost(cell, maxName)
			}
		case "description":
			u.Description, err = &cell, atMost(cell, maxDescription)
		case "category":
			u.Category, err = &cell, atMost(cell, maxCategory)
		case "active":
			u.Active, err = readActive(cell)
		default:
			if u.Prices == nil {
				u.Prices = map[string]*int64{}
			}
			currency := strings.TrimPrefix(name, pricePrefix)
			u.Prices[currency], err = readPrice(cell, currency)
		}
		if err != nil {
			return u, name, err
		}
	}
	return u, "", nil
}

func atMost(text string, limit int) error {
	if n := utf8.RuneCountInString(text); n > limit {
		return fmt.Errorf("%d characters, at most %d", n, limit)
	}
	return nil
}

func readActive(cell string) (*bool, error) {
	switch strings.ToLower(strings.TrimSpace(cell)) {
	case "":
		return nil, nil
	case "true", "false":
		active := strings.EqualFold(strings.TrimSpace(cell), "true")
		return &active, nil
	}
	return nil, errors.New("write true or false")
}

func readPrice(cell, currency string) (*int64, error) {
	if cell = strings.TrimSpace(cell); cell == "" {
		return nil, nil
	}
	amount, err := money.Parse(csvtable.Echo(cell), currency) // its error repeats the cell
	if err == nil && amount.Minor > maxPrice {
		err = fmt.Errorf("a price is at most %s", money.Amount{Minor: maxPrice, Currency: currency})
	}
	return &amount.Minor, err
}
