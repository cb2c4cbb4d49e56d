package server

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"holdfast/api/orderapi"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// Limits of the specification's ProductInput, which a CSV file's cells are held to as well.
const (
	maxName        = 200
	maxDescription = 5000
	maxCategory    = 100
	maxPrice       = 1_000_000_000_000 // minor units
)

var skuFormat = regexp.MustCompile(`^[A-Z0-9][A-Z0-9._-]{0,63}$`)

// pricePrefix begins the name of a column of prices; the currency follows.
const pricePrefix = "price_"

// importFile is a CSV file as it was read. A row without an outcome yet has an upsert, in the same order.
type importFile struct {
	rows    []orderapi.ImportedRow
	upserts []orderstore.ProductUpsert
}

// readImport reads a CSV file of products. The error is a problem of the file as a whole; what is wrong with one
// row is in that row.
func readImport(body io.Reader) (importFile, error) {
	var f importFile
	text := bufio.NewReader(body)
	if mark, err := text.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = text.Discard(len(mark)) // the byte order mark that spreadsheets put in front
	}
	r := csv.NewReader(text)
	r.FieldsPerRecord = -1 // a row of another length fails alone, and by our own words
	names, err := r.Read()
	if errors.Is(err, io.EOF) {
		return f, problem.Invalid("", "the file is empty; its first line names the columns, as in sku,name,price_EUR")
	}
	columns, err := readColumns(names, err)
	if err != nil {
		return f, err
	}
	lines := map[string]int{} // by SKU: where it was
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var malformed *csv.ParseError
		if err != nil && !errors.As(err, &malformed) {
			return f, fmt.Errorf("read the file: %w", err)
		}
		if len(f.rows) == maxImportRows {
			return f, problem.Invalid("", "the file has more than %d rows; split it", maxImportRows)
		}
		if malformed != nil {
			f.rows = append(f.rows, failedRow(malformed.StartLine, "", orderapi.InvalidRow, "", malformed.Err.Error()))
			continue
		}
		line, _ := r.FieldPos(0)
		f.add(columns, cells, line, lines)
	}
	if len(f.rows) == 0 {
		return f, problem.Invalid("", "the file has no rows below the names of its columns")
	}
	return f, nil
}

// add reads one row, as an upsert or as a failed one.
func (f *importFile) add(columns []string, cells []string, line int, lines map[string]int) {
	sku := ""
	for i, name := range columns {
		if name == "sku" && i < len(cells) {
			sku = strings.ToValidUTF8(cells[i], "\uFFFD")
		}
	}
	if len(cells) != len(columns) {
		f.rows = append(f.rows, failedRow(line, sku, orderapi.InvalidRow, "",
			fmt.Sprintf("the row has %d fields, the first line names %d columns", len(cells), len(columns))))
		return
	}
	u, column, err := readRow(columns, cells)
	if err != nil {
		f.rows = append(f.rows, failedRow(line, sku, orderapi.InvalidValue, column, err.Error()))
		return
	}
	if first, again := lines[u.SKU]; again {
		f.rows = append(f.rows, failedRow(line, sku, orderapi.DuplicateSKU, "sku", fmt.Sprintf("line %d has this SKU already", first)))
		return
	}
	lines[u.SKU] = line
	f.rows = append(f.rows, orderapi.ImportedRow{Line: line, SKU: sku})
	f.upserts = append(f.upserts, u)
}

func failedRow(line int, sku string, code orderapi.ImportedRowCode, column, detail string) orderapi.ImportedRow {
	return orderapi.ImportedRow{Line: line, SKU: sku, Outcome: orderapi.ImportedRowOutcomeFailed, Code: code, Field: column, Detail: detail}
}

// readColumns checks the first line and returns its names in the form that readRow knows.
func readColumns(names []string, err error) ([]string, error) {
	var malformed *csv.ParseError
	switch {
	case errors.As(err, &malformed):
		return nil, problem.Invalid("", "the first line, which names the columns, is not valid CSV: %s", malformed.Err)
	case err != nil:
		return nil, fmt.Errorf("read the file: %w", err)
	case !utf8.ValidString(strings.Join(names, "")):
		return nil, problem.Invalid("", "the file is not UTF-8; save it as such")
	case len(names) == 1 && strings.ContainsAny(names[0], ";\t"):
		return nil, problem.Invalid("", "separate the columns by commas")
	}
	seen := map[string]bool{}
	for i, raw := range names {
		name := strings.ToLower(strings.TrimSpace(raw))
		if currency, ok := strings.CutPrefix(name, pricePrefix); ok {
			currency = strings.ToUpper(currency)
			if _, err := money.Exponent(currency); err != nil {
				return nil, problem.Invalid(raw, "%s", err)
			}
			name = pricePrefix + currency
		} else if !map[string]bool{"sku": true, "name": true, "description": true, "category": true, "active": true}[name] {
			return nil, problem.Invalid(raw, "there is no column %q; there are sku, name, description, category, active and price_ with a currency", raw)
		}
		if seen[name] {
			return nil, problem.Invalid(name, "the column %s is there twice", name)
		}
		seen[name] = true
		names[i] = name
	}
	for _, required := range []string{"sku", "name"} {
		if !seen[required] {
			return nil, problem.Invalid(required, "the column %s is missing", required)
		}
	}
	return names, nil
}

// readRow reads a row's cells; the error is about the named column.
func readRow(columns, cells []string) (u orderstore.ProductUpsert, column string, err error) {
	for i, name := range columns {
		cell := cells[i]
		if !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			return u, name, errors.New("use UTF-8 without the character U+0000")
		}
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
	amount, err := money.Parse(cell, currency)
	if err == nil && amount.Minor > maxPrice {
		err = fmt.Errorf("a price is at most %s", money.Amount{Minor: maxPrice, Currency: currency})
	}
	return &amount.Minor, err
}
