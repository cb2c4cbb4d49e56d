// Package csvtable reads tables that people upload as CSV files (RFC 4180, by encoding/csv): a header that names the
// columns, in any order and case, and rows. A bad row does not affect the others. The package checks the form of a file
// and not the meaning of its cells: each contract reads the cells and maps FileError and RowError to its own codes. It
// is pure.
//
// The package accepts what spreadsheets write: it skips a byte order mark and blank lines, and lines end in LF or CRLF.
// It refuses what it would have to guess: other encodings than UTF-8, other separators than the comma, CR alone.
package csvtable

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/internal/text"
)

// MaxRowBytes bounds one row, in bytes without line ends and to the nearest few thousand. encoding/csv holds a whole
// row in memory and needs forty bytes even for an empty field, so that a file of commas would take many times its size.
// The bound also stops a quote that is not closed from swallowing the rest of a large file.
const MaxRowBytes = 256 << 10

// maxEcho bounds how much of a file's text messages and reports repeat, in bytes; see Echo.
const maxEcho = 64

// Format says which columns a table has, by their names in lower case.
type Format struct {
	Required []string // never empty
	Optional []string
	Family   *Family // further columns, or nil
	MaxRows  int     // the header not counted
	// Multiline are the columns whose cells may have line breaks. In any other a line break is a fault of the row:
	// most likely a quote is not closed, and the row has swallowed the ones after it.
	Multiline []string
	// Begins reports whether cells could be the first ones of a row; it may be nil. A quote that is not closed can
	// swallow a row up to the same column of a later row. Both then read as one row with a cell of several lines, so a
	// cell of Multiline whose last line begins like a row is a fault too.
	Begins func(columns, cells []string) bool
}

// Family is a set of optional columns whose names have the same prefix and a rest that follows a rule.
type Family struct {
	Prefix  string
	Example string // a whole name, for messages
	// Rest returns the canonical form of what follows the prefix, which it gets in lower case, or says what is
	// wrong with it.
	Rest func(rest string) (string, error)
}

// FileError says why a file as a whole cannot be used; rows that were read before it must not be applied.
type FileError struct {
	Line   int    // 0 where no line is at fault
	Column string // name, or empty where no column is at fault
	Detail string // for the person who made the file; names the line and position
}

func (e *FileError) Error() string { return e.Detail }

// RowError says why a row cannot be used. The rows after it can.
type RowError struct {
	Line   int    // where the fault is, at or after the row's own line
	Column string // name, or empty where the form of the row is at fault and not one of its cells
	Detail string // for the person who made the file; does not repeat the row's line and the column
}

func (e *RowError) Error() string { return e.Detail }

// Row is one row of a table.
type Row struct {
	Line int       // of the file at which the row begins, from 1, blank lines counted
	Err  *RowError // nil for a row that has a clean cell for each column
	// Cells are in the order of Reader.Columns, as they are in the file, blanks included. A row with an Err may have
	// any number of them, of any bytes, and has none where it is not CSV.
	Cells []string

	columns []string
}

// Cell returns the cell of a column, or "" if the row or the table has none.
func (r Row) Cell(column string) string {
	if i := slices.Index(r.columns, column); i >= 0 && i < len(r.Cells) {
		return r.Cells[i]
	}
	return ""
}

// Reader reads a table row by row.
type Reader struct {
	source  *source
	csv     *csv.Reader
	columns []string
	format  Format
	rows    int // so far, without the header
	last    int // line of the last one, the header included
}

// NewReader reads the header. The error is a *FileError, or wraps the error of reading from file.
func NewReader(file io.Reader, f Format) (*Reader, error) {
	r := &Reader{source: &source{file: file}, format: f}
	text := bufio.NewReader(r.source)
	start, _ := text.Peek(4) // the first read returns the same error
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, _ = text.Discard(3)
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return nil, &FileError{Detail: "the file is compressed with gzip; send it uncompressed"}
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, &FileError{Detail: "the file is a ZIP archive, as spreadsheets are; save it as CSV in UTF-8"}
	}
	r.csv = csv.NewReader(text)
	r.csv.FieldsPerRecord = -1 // check reports a row of another length
	names, err := r.read()
	var malformed *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, &FileError{Detail: "the file is empty; its first line names the columns: " + f.describe()}
	case errors.As(err, &malformed):
		return nil, &FileError{Line: malformed.StartLine, Detail: "the header is not valid CSV: " + fault(malformed)}
	case err != nil:
		return nil, err
	}
	r.last, _ = r.csv.FieldPos(0)
	if r.columns, err = f.header(r.last, names); err != nil {
		return nil, err
	}
	return r, nil
}

// Columns returns the canonical names of the table's columns, in the file's order. The caller must not change it.
func (r *Reader) Columns() []string { return r.columns }

// Next returns the next row, and io.EOF after the last. Any other error is about the file: it is a *FileError, or wraps
// the error of reading from the file. A fault of one row is in the row's Err.
func (r *Reader) Next() (Row, error) {
	cells, err := r.read()
	var malformed *csv.ParseError
	row := Row{columns: r.columns}
	switch {
	case errors.As(err, &malformed):
		row.Line, row.Err = malformed.StartLine, &RowError{Line: malformed.Line, Detail: fault(malformed)}
	case err != nil:
		return Row{}, err
	default:
		row.Line, _ = r.csv.FieldPos(0)
		row.Cells, row.Err = cells, r.check(row.Line, cells)
	}

	if r.rows++; r.rows > r.format.MaxRows {
		return Row{}, &FileError{Detail: fmt.Sprintf("the file has more than %d rows; split it", r.format.MaxRows)}
	}
	r.last = row.Line
	return row, nil
}

// check returns the first fault in the cells of the record that read has just returned. The record begins at line.
func (r *Reader) check(line int, cells []string) *RowError {
	if len(cells) != len(r.columns) {
		return &RowError{
			Line:   line,
			Detail: fmt.Sprintf("the row has %d fields, the header has %d", len(cells), len(r.columns)),
		}
	}
	for i, cell := range cells {
		if !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			at, _ := r.csv.FieldPos(i)
			return &RowError{Line: at, Column: r.columns[i], Detail: "use UTF-8 without the character U+0000"}
		}
		if c, found := text.UnfitLines(cell); found { // checkLines checks the line breaks
			at, _ := r.csv.FieldPos(i)
			return &RowError{
				Line:   at,
				Column: r.columns[i],
				Detail: fmt.Sprintf("the character U+%04X is not allowed", c),
			}
		}
		if e := r.checkLines(i, cell); e != nil {
			return e
		}
	}
	return nil
}

// checkLines returns the first fault in the line breaks of a cell.
func (r *Reader) checkLines(column int, cell string) *RowError {
	breaks := strings.Count(cell, "\n")
	at, _ := r.csv.FieldPos(column)
	switch {
	case strings.ContainsRune(cell, '\r'):
		return &RowError{Line: at, Column: r.columns[column], Detail: "end lines with LF or CRLF, not with CR alone"}
	case breaks == 0:
		return nil
	case !slices.Contains(r.format.Multiline, r.columns[column]):
		return &RowError{
			Line:   at,
			Column: r.columns[column],
			Detail: fmt.Sprintf("a line break is not allowed here; is the quote in line %d not closed?", at),
		}
	case r.format.Begins == nil:
		return nil
	}

	last := strings.Split(cell[strings.LastIndexByte(cell, '\n')+1:], ",")
	if len(last) > column && r.format.Begins(r.columns[:column], last[:column]) {
		at += breaks
		return &RowError{
			Line:   at,
			Column: r.columns[column],
			Detail: fmt.Sprintf("line %d looks like a row of its own; is a quote not closed before it?", at),
		}
	}
	return nil
}

// read returns the next record. If reading the file fails, it returns that error and not the fault that the failure
// causes in the record that it cuts off.
func (r *Reader) read() ([]string, error) {
	r.source.row = 0
	cells, err := r.csv.Read()
	switch {
	case err == nil || errors.Is(err, io.EOF) && r.source.err == nil:
		return cells, err
	case errors.Is(r.source.err, errLongRow):
		which := "the header"
		if r.last > 0 {
			which = fmt.Sprintf("the row after the one in line %d", r.last)
		}
		return nil, &FileError{Detail: fmt.Sprintf("%s has more than %d bytes; is a quote not closed?", which, MaxRowBytes)}
	case r.source.err != nil:
		return nil, fmt.Errorf("read the file: %w", r.source.err)
	}
	return nil, err
}

// fault describes a fault in the form of a row.
func fault(e *csv.ParseError) string {
	detail := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Err)
	if e.Line != e.StartLine {
		detail += fmt.Sprintf("; the row began in line %d, where a quote may not have been closed", e.StartLine)
	}
	return detail
}

var errLongRow = errors.New("the row is too long")

// source reads the file and fails in a row that is too long. It remembers its error, because encoding/csv may report a
// fault of the record that the error cuts off instead.
type source struct {
	file io.Reader
	row  int // bytes read for the row, line ends not counted: blank lines belong to no row
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.file.Read(p)
	s.row += n - bytes.Count(p[:n], []byte("\n")) - bytes.Count(p[:n], []byte("\r"))
	if s.row > MaxRowBytes {
		err = errLongRow
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Echo returns text of the file in a form that a message to its author may repeat: at most 64 bytes of it, and valid
// UTF-8.
func Echo(text string) string {
	end := ""
	if len(text) > maxEcho {
		cut := maxEcho
		for cut > maxEcho-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text, end = text[:cut], "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD") + end
}
