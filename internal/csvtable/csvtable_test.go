package csvtable_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"holdfast/internal/csvtable"
)

var format = csvtable.Format{
	Required: []string{"id", "name"},
	Optional: []string{"note"},
	Family: &csvtable.Family{Prefix: "price_", Example: "price_EUR", Rest: func(rest string) (string, error) {
		if len(rest) != 3 {
			return "", fmt.Errorf("there is no currency %q", rest)
		}
		return strings.ToUpper(rest), nil
	}},
	MaxRows:   3,
	Multiline: []string{"id", "name", "note"},
}

// read returns all rows up to the end or the first error of the file.
func read(file io.Reader, f csvtable.Format) (columns []string, rows []csvtable.Row, err error) {
	r, err := csvtable.NewReader(file, f)
	if err != nil {
		return nil, nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Columns(), rows, nil
		}
		if err != nil {
			return r.Columns(), rows, err
		}
		rows = append(rows, row)
	}
}

// tell writes a row as text: its line, and its cells or its error's line, column and detail.
func tell(r csvtable.Row) string {
	if r.Err != nil {
		return fmt.Sprintf("%d failed %d/%s/%s", r.Line, r.Err.Line, r.Err.Column, r.Err.Detail)
	}
	return fmt.Sprintf("%d %q", r.Line, r.Cells)
}

func TestRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", csvtable.MaxRowBytes-100)
	const (
		notText     = "name/use UTF-8 without the character U+0000"
		oneField    = "the row has 1 fields, the header has 2"
		threeFields = "the row has 3 fields, the header has 2"
		badQuote    = `extraneous or missing " in quoted-field`
		bareQuote   = `bare " in non-quoted-field`
	)
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"plain":                   {"id,name\n1,a\n2,b\n", []string{`2 ["1" "a"]`, `3 ["2" "b"]`}},
		"no last line end":        {"id,name\n1,a", []string{`2 ["1" "a"]`}},
		"byte order mark":         {"\uFEFFid,name\n1,a\n", []string{`2 ["1" "a"]`}},
		"byte order mark, quotes": {"\uFEFF\"id\",name\n1,a\n", []string{`2 ["1" "a"]`}},
		"CRLF":                    {"id,name\r\n1,a\r\n\r\n2,b\r\n", []string{`2 ["1" "a"]`, `4 ["2" "b"]`}},
		"header only":             {"id,name\n", nil},
		"header without an end":   {"id,name", nil},
		"blank lines":             {"\n\nid,name\n\n\n1,a\n\n2,b\n\n", []string{`6 ["1" "a"]`, `8 ["2" "b"]`}},
		"megabytes of blank lines": {
			"id,name" + strings.Repeat("\r\n", 1<<20) + "1,a\n",
			[]string{fmt.Sprintf(`%d ["1" "a"]`, 1<<20+1)},
		},
		"a line of blanks":     {"id,name\n  \n1,a\n", []string{"2 failed 2//" + oneField, `3 ["1" "a"]`}},
		"quoted":               {"id,name\n1,\"a, \"\"b\"\"\"\n", []string{`2 ["1" "a, \"b\""]`}},
		"quoted line ends":     {"id,name\n1,\"a\r\n\nb\"\n2,c\n", []string{`2 ["1" "a\n\nb"]`, `5 ["2" "c"]`}},
		"cells as they are":    {"id,name\n 1 ,\ta\n", []string{`2 [" 1 " "\ta"]`}},
		"U+0000":               {"id,name\n1,a\x00\n2,b\n", []string{"2 failed 2/" + notText, `3 ["2" "b"]`}},
		"not UTF-8":            {"id,name\n1,\xff\n2,b\n", []string{"2 failed 2/" + notText, `3 ["2" "b"]`}},
		"not UTF-8, below":     {"id,note,name\n1,\"a\nb\",\xff\n", []string{"2 failed 3/" + notText}},
		"too few fields":       {"id,name\n1\n2,b\n", []string{"2 failed 2//" + oneField, `3 ["2" "b"]`}},
		"trailing comma":       {"id,name\n1,a,\n2,b\n", []string{"2 failed 2//" + threeFields, `3 ["2" "b"]`}},
		"trailing comma, note": {"id,name,note\n1,a,\n", []string{`2 ["1" "a" ""]`}},
		"quote within": {
			"id,name\n1,a\"b\n2,b\n",
			[]string{`2 failed 2//line 2, column 4: ` + bareQuote, `3 ["2" "b"]`},
		},
		"text after a quote": {
			"id,name\n1,\"a\"b\n2,b\n",
			[]string{`2 failed 2//line 2, column 5: ` + badQuote, `3 ["2" "b"]`},
		},
		"quote not closed": {
			"id,name\n1,a\n2,\"b\n3,c\n",
			[]string{
				`2 ["1" "a"]`,
				`3 failed 4//line 4, column 5: ` + badQuote +
					"; the row began in line 3, where a quote may not have been closed",
			},
		},
		"very long field": {
			"id,name\n1," + long + "\n2,b\n",
			[]string{fmt.Sprintf(`2 ["1" %q]`, long), `3 ["2" "b"]`},
		},
		"long rows together": {
			"id,name\n1," + long + "\n2," + long,
			[]string{fmt.Sprintf(`2 ["1" %q]`, long), fmt.Sprintf(`3 ["2" %q]`, long)},
		},
		"as many rows as allowed": {"id,name\n1,a\n2,b\n3,c\n\n", []string{`2 ["1" "a"]`, `3 ["2" "b"]`, `4 ["3" "c"]`}},
		"CR within a row":         {"id,name\n1,a\r2,b\n", []string{"2 failed 2//" + threeFields}},
		"several of a family":     {"id,name,price_eur,Price_JPY\n1,a,2,3\n", []string{`2 ["1" "a" "2" "3"]`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range []io.Reader{
				strings.NewReader(c.file),
				iotest.DataErrReader(iotest.HalfReader(strings.NewReader(c.file))),
			} {
				_, rows, err := read(file, format)
				require.NoError(t, err)
				var got []string
				for _, r := range rows {
					got = append(got, tell(r))
				}
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	const (
		all     = "id, name, note, price_EUR and the like"
		noName  = "line 1, column 3: the column has no name; the columns are " + all
		tooLong = " has more than 262144 bytes; is a quote not closed?"
	)
	for name, c := range map[string]struct {
		file, column, detail string
		line                 int
	}{
		"empty":            {"", "", "the file is empty; its first line names the columns: " + all, 0},
		"mark only":        {"\uFEFF", "", "the file is empty; its first line names the columns: " + all, 0},
		"blank lines only": {"\r\n\n", "", "the file is empty; its first line names the columns: " + all, 0},
		"missing":          {"id,note\n1,a\n", "name", "line 1: the column name is missing", 1},
		"missing, further": {"\n\nid\n", "name", "line 3: the column name is missing", 3},
		"unknown": {
			"id,name, Size\n",
			"Size", `line 1, column 3: there is no column "Size"; the columns are ` + all, 1,
		},
		"unknown of family": {"id,name,price_euro\n", "price_euro", `line 1, column 3: there is no currency "euro"`, 1},
		"twice":             {"id,name,ID\n", "id", "line 1, column 3: the column id is there twice", 1},
		"family twice": {
			"id,name,price_eur,price_EUR\n",
			"price_EUR", "line 1, column 4: the column price_EUR is there twice", 1,
		},
		"trailing comma": {"id,name,\n1,a,\n", "", noName, 1},
		"CR only":        {"id,name\r1,a\r2,b\r", "", "end lines with LF or CRLF, not with CR alone", 1},
		"semicolons":     {"id;name\n1;a\n", "", "separate the columns by commas", 1},
		"tabs":           {"id\tname\n1\ta\n", "", "separate the columns by commas", 1},
		"gzip":           {"\x1f\x8b\x08\x00", "", "the file is compressed with gzip; send it uncompressed", 0},
		"a spreadsheet":  {"PK\x03\x04", "", "the file is a ZIP archive, as spreadsheets are; save it as CSV in UTF-8", 0},
		"UTF-16":         {"\xff\xfei\x00d\x00", "", "the file is not UTF-8; save it as UTF-8", 1},
		"quote in header": {
			"i\"d,name\n",
			"", `the header is not valid CSV: line 1, column 2: bare " in non-quoted-field`, 1,
		},
		"too many rows":     {"id,name\n1,a\n2\n3,\"\"\"\n4,d\n", "", "", 0}, // the third row swallows the fourth
		"too many bad rows": {"id,name\n\"\n\"\n2\n3\n4\n", "", "the file has more than 3 rows; split it", 0},
		"too long a row": {
			"id,name\n1,a\n2," + strings.Repeat("x", csvtable.MaxRowBytes+8192),
			"", "the row after the one in line 2" + tooLong, 0,
		},
		"too long a header": {strings.Repeat(",", 8<<20), "", "the header" + tooLong, 0},
		"swallowed": {
			"id,name\n1,\"a\n" + strings.Repeat("2,b\n", 100_000),
			"", "the row after the one in line 1" + tooLong, 0,
		},
		"long unknown name": {
			"id,name," + strings.Repeat("é", 100) + "\n",
			strings.Repeat("é", 32) + "…",
			`line 1, column 3: there is no column "` + strings.Repeat("é", 32) + `…"; the columns are ` + all, 1,
		},
		"long currency name": {
			"id,name,price_" + strings.Repeat("x", 100) + "\n",
			"price_" + strings.Repeat("x", 58) + "…",
			`line 1, column 3: there is no currency "` + strings.Repeat("x", 64) + `…"`, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := read(strings.NewReader(c.file), format)
			if c.detail == "" {
				require.NoError(t, err)
				return
			}
			var fault *csvtable.FileError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, csvtable.FileError{Line: c.line, Column: c.column, Detail: c.detail}, *fault)
		})
	}
}

// TestLineBreaks: a cell has several lines only in a column that allows them, and no later line looks like a row.
func TestLineBreaks(t *testing.T) {
	t.Parallel()
	strict := format
	strict.Multiline = []string{"note"}
	strict.Begins = func(columns, cells []string) bool {
		return len(columns) > 0 && columns[0] == "id" && cells[0] == "2"
	}
	const (
		notAllowed = "2 failed 2/name/a line break is not allowed here; is the quote in line 2 not closed?"
		ownRow     = " looks like a row of its own; is a quote not closed before it?"
	)

	for name, c := range map[string]struct{ file, want string }{
		"allowed":                {"id,name,note\n1,a,\"b\nc\"\n", `2 ["1" "a" "b\nc"]`},
		"allowed, with commas":   {"id,name,note\n1,a,\"b\nc,d,e\"\n", `2 ["1" "a" "b\nc,d,e"]`},
		"not allowed":            {"id,name,note\n1,\"a\nb\",c\n", notAllowed},
		"two rows in one":        {"id,name\n1,\"a\n2,b\"\n", notAllowed},
		"two rows in one note":   {"id,name,note\n1,a,\"b\n2,c,d\"\n", "2 failed 3/note/line 3" + ownRow},
		"three rows in one note": {"id,name,note\n1,a,\"b\n7,x,y\n2,c,d\"\n", "2 failed 4/note/line 4" + ownRow},
		"CR alone": {
			"id,name,note\n1,a,\"b\rc\"\n",
			"2 failed 2/note/end lines with LF or CRLF, not with CR alone",
		},
	} {
		_, rows, err := read(strings.NewReader(c.file), strict)
		require.NoError(t, err, name)
		require.Len(t, rows, 1, name)
		require.Equal(t, c.want, tell(rows[0]), name)
	}
}

// TestCells finds cells by their columns, in any order of the columns.
func TestCells(t *testing.T) {
	t.Parallel()
	columns, rows, err := read(strings.NewReader("price_eur, NAME ,ID\n5,a,1\n6,b\n7,\"c\"d,2\n"), format)
	require.NoError(t, err)
	require.Equal(t, []string{"price_EUR", "name", "id"}, columns)

	require.Equal(t, "1", rows[0].Cell("id"))
	require.Equal(t, "a", rows[0].Cell("name"))
	require.Equal(t, "5", rows[0].Cell("price_EUR"))
	require.Empty(t, rows[0].Cell("note"))

	require.Equal(t, []string{"", "b"}, []string{rows[1].Cell("id"), rows[1].Cell("name")}, "a short row")
	require.Empty(t, rows[2].Cell("id"), "a row that is not CSV has no cells")
}

// TestBrokenFile: the reader returns the error of reading the file, and neither io.EOF nor a fault of the row that the
// error cuts off.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, file := range []string{"", "id", "id,name\n", "id,name\n1,a\n2,\"b", "id,name\n1,a\n2,b\"", "id,name\n1,a\n"} {
		_, _, err := read(io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken)), format)
		require.ErrorIs(t, err, broken, file)
		var fault *csvtable.FileError
		require.NotErrorAs(t, err, &fault, file)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                       "",
		"a\xffb":                                 "a\uFFFDb",
		strings.Repeat("x", 64):                  strings.Repeat("x", 64),
		strings.Repeat("x", 65):                  strings.Repeat("x", 64) + "…",
		strings.Repeat("x", 62) + "日本":           strings.Repeat("x", 62) + "…",
		strings.Repeat("\x80", 100):              "\uFFFD…",
		strings.Repeat("x", 63) + "\xf0\x9f\x98": strings.Repeat("x", 63) + "…",
	} {
		require.Equal(t, want, csvtable.Echo(in))
	}
}
