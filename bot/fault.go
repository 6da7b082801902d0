package bot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with a script.
type Fault struct {
	File         string
	Line, Column int    // from 1, in characters
	Path         string // rules[2].say[0].text; "" for the file as a whole
	Text         string // what, why, and how to mend it
}

// String returns "bot.yaml:12:7: rules[2].say[0].text: 2104 characters, at most 2000".
func (f Fault) String() string {
	s := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	if f.Path != "" {
		s += f.Path + ": "
	}
	return s + f.Text
}

// FaultError is all that is wrong with a script, in the order of the file.
type FaultError struct{ Faults []Fault }

// Error returns a line for each fault.
func (e *FaultError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// faults collects what is found wrong while a script is read.
type faults struct {
	list []Fault
	seen map[Fault]bool // without their paths
}

// add keeps f, once: what an anchor repeats is one fault.
func (fs *faults) add(f Fault) {
	place := f
	place.Path = ""
	if fs.seen[place] {
		return
	}
	if fs.seen == nil {
		fs.seen = map[Fault]bool{}
	}
	fs.seen[place] = true
	fs.list = append(fs.list, f)
}

func (fs *faults) err() error {
	if len(fs.list) == 0 {
		return nil
	}
	slices.SortStableFunc(fs.list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &FaultError{Faults: fs.list}
}

// didYouMean returns a hint at the known word that is nearest to a misspelt one,
// or at all of them where none is near.
func didYouMean(word string, known []string) string {
	best, least := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d <= least {
			best, least = k, d-1
		}
	}
	if best == "" && (len(known) == 0 || len(known) > 20) {
		return "nothing comes near"
	}
	if best == "" {
		return "known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance returns how many letters to insert, delete or replace turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // to the left of it
		row[0] = i + 1
		for j := range len(b) {
			changed := above
			if a[i] != b[j] {
				changed++
			}
			above = row[j+1]
			row[j+1] = min(changed, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}
