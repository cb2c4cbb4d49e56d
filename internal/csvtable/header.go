package csvtable

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// header returns the canonical names of the columns, or a *FileError.
func (f Format) header(line int, names []string) ([]string, error) {
	whole := func(detail string) error {
		return &FileError{Line: line, Detail: detail}
	}
	for _, name := range names {
		switch {
		case !utf8.ValidString(name):
			return nil, whole("the file is not UTF-8; save it as UTF-8")
		case strings.Contains(strings.TrimSpace(name), "\r"):
			return nil, whole("end lines with LF or CRLF, not with CR alone")
		case len(names) == 1 && strings.ContainsAny(name, ";\t"):
			return nil, whole("separate the columns by commas")
		}
	}

	columns := make([]string, 0, len(f.Required)+len(f.Optional))
	for i, raw := range names {
		raw = strings.TrimSpace(raw)
		name, err := f.column(raw)
		if err == nil && slices.Contains(columns, name) {
			raw, err = name, fmt.Errorf("the column %s is there twice", name)
		}
		if err != nil {
			return nil, &FileError{
				Line:   line,
				Column: Echo(raw),
				Detail: fmt.Sprintf("line %d, column %d: %s", line, i+1, err),
			}
		}
		columns = append(columns, name)
	}
	for _, name := range f.Required {
		if !slices.Contains(columns, name) {
			return nil, &FileError{
				Line:   line,
				Column: name,
				Detail: fmt.Sprintf("line %d: the column %s is missing", line, name),
			}
		}
	}
	return columns, nil
}

// column returns the canonical form of a column's name, or an error that says what is wrong with it.
func (f Format) column(raw string) (string, error) {
	name := strings.ToLower(raw)
	if slices.Contains(f.Required, name) || slices.Contains(f.Optional, name) {
		return name, nil
	}
	if f.Family != nil {
		if rest, ok := strings.CutPrefix(name, f.Family.Prefix); ok {
			rest, err := f.Family.Rest(Echo(rest)) // the error of Rest repeats its argument
			return f.Family.Prefix + rest, err
		}
	}
	if name == "" {
		return "", fmt.Errorf("the column has no name; the columns are %s", f.describe())
	}
	return "", fmt.Errorf("there is no column %q; the columns are %s", Echo(raw), f.describe())
}

// describe lists the columns for people.
func (f Format) describe() string {
	list := strings.Join(slices.Concat(f.Required, f.Optional), ", ")
	if f.Family != nil {
		list += ", " + f.Family.Example + " and the like"
	}
	return list
}
