package csvtable_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"holdfast/internal/csvtable"
)

// FuzzReader reads any bytes below a good header: nothing panics, and each line that is not blank belongs to exactly
// one row. Then it writes the same bytes as cells and gets each of them back.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "1,a\n2,b\n", "1,a\r\n\r\n2,b", "1,a\r2,b\r", " \n\t\n", ",,,,\n", "\r", "\r\r\n",
		"1,\"a\n\nb\"\r\n2,b\n", "1,\"a\"\"b\",\n", "1,\"a\"b\n2,\"c\n3,d\n", "1,a\"\n\"\"\n", "\"",
		"\"\r\n\r\"\r\n,\n", "\"\"\"\n\"\n1,\"\n\"", "1,\"" + strings.Repeat("x", 5000) + "\"\n",
		"1,\x00\n\xff,2\n", "\uFEFF1,a\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = read(bytes.NewReader(body), format)
		cover(t, body)
		roundTrip(t, body)
	})
}

// cover requires that each line of body that is not blank belongs to exactly one row.
func cover(t *testing.T, body []byte) {
	t.Helper()
	file := append([]byte("id,name\n"), body...)
	format := format
	format.MaxRows = len(file)
	_, rows, err := read(bytes.NewReader(file), format)
	if err != nil {
		var fault *csvtable.FileError
		require.True(t, errors.As(err, &fault) && len(file) > csvtable.MaxRowBytes, "%s", err)
		return
	}
	lines := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	owner := make([]int, len(lines)+1) // by line, from 1
	for _, row := range rows {
		end := row.Line + strings.Count(strings.Join(row.Cells, ""), "\n")
		if row.Err != nil {
			require.GreaterOrEqual(t, row.Err.Line, row.Line)
			end = max(end, row.Err.Line)
		}
		if row.Err == nil {
			require.Len(t, row.Cells, 2)
			bad := func(c string) bool { return !utf8.ValidString(c) || strings.Contains(c, "\x00") }
			require.False(t, slices.ContainsFunc(row.Cells, bad))
		}
		for line := row.Line; line <= end; line++ {
			require.Less(t, line, len(owner), "a row lies within the file")
			require.Zero(t, owner[line], "line %d is in two rows", line)
			owner[line] = row.Line
		}
	}

	for i, text := range lines[1:] {
		if blank := len(bytes.TrimSuffix(text, []byte("\r"))) == 0; !blank {
			require.NotZero(t, owner[i+2], "line %d is lost", i+2)
		}
	}
}

// roundTrip writes parts of body as cells and requires that the reader returns the same cells.
func roundTrip(t *testing.T, body []byte) {
	t.Helper()
	var want [][]string
	for line := range strings.SplitSeq(strings.ReplaceAll(string(body), "\r", ""), ";") {
		id, name, _ := strings.Cut(line, ",")
		if utf8.ValidString(line) && !strings.Contains(line, "\x00") && len(line) < csvtable.MaxRowBytes/4 {
			want = append(want, []string{id, name})
		}
	}
	file := &bytes.Buffer{}
	w := csv.NewWriter(file)
	w.UseCRLF = len(body)%2 == 0
	require.NoError(t, w.Write([]string{"name", "id"}))
	for _, cells := range want {
		require.NoError(t, w.Write([]string{cells[1], cells[0]}))
	}
	w.Flush()

	format := format
	format.MaxRows = len(want)
	_, rows, err := read(file, format)
	require.NoError(t, err)
	require.Len(t, rows, len(want))
	for i, row := range rows {
		require.Nil(t, row.Err)
		cells := []string{row.Cell("id"), row.Cell("name")}
		require.Equal(t, want[i], cells)
	}
}
