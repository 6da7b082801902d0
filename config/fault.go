package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Position is where something is set: a place in a file, an environment
// variable (Line 0), or nowhere (the zero value).
type Position struct {
	Name         string
	Line, Column int // from 1, in characters
}

// String returns file:line:column, or the variable's name.
func (p Position) String() string {
	if p.Line == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s:%d:%d", p.Name, p.Line, p.Column)
}

// Fault is one thing that is wrong with the settings.
type Fault struct {
	At   Position
	Path string // messenger.app_secret; "" for the file as a whole
	Text string // what, why, and how to mend it
}

// String returns "usher.yaml:12:7: messenger.app_secret: text".
func (f Fault) String() string {
	var parts []string
	for _, s := range []string{f.At.String(), f.Path, f.Text} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// FaultError is all that is wrong with the settings, in the order of the file;
// what the environment set comes last.
type FaultError struct{ Faults []Fault }

// Error returns a line for each fault.
func (e *FaultError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func comparePlaces(a, b Fault) int {
	inFile := func(f Fault) int {
		if f.At.Line > 0 {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(inFile(a), inFile(b)), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
}

// closest returns the word nearest to s by edit distance, or "" when none is
// near: more than a third of its letters would have to change.
func closest(s string, words []string) string {
	best, least := "", max(1, len(s)/3)+1
	for _, w := range words {
		if d := distance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
