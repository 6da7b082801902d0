package check

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Verdict is what the evidence says of each guarantee.
type Verdict struct {
	Guarantees []Guarantee `json:"guarantees"`
	Figures    Figures     `json:"figures"`
}

// Guarantee is a promise of Usher with how often it was seen to hold.
type Guarantee struct {
	ID     string `json:"id"` // G1 to G14
	Says   string `json:"says"`
	Held   int    `json:"held"`
	Broken int    `json:"broken"`
	// Examples are the first few places where it was broken.
	Examples []string `json:"examples,omitempty"`
}

// Figures are counts worth publishing.
type Figures struct {
	Threads        int `json:"threads"`
	Events         int `json:"events"`       // of which Meta told
	Acknowledged   int `json:"acknowledged"` // with 200
	Repeated       int `json:"repeated"`     // acknowledged more than once
	Lost           int `json:"lost"`
	DecidedTwice   int `json:"decided_twice"`
	OutOfOrder     int `json:"out_of_order"`
	Handoffs       int `json:"handoffs"`
	Ends           int `json:"ends"` // ways back, of any kind
	Sends          int `json:"sends"`
	RefusedSends   int `json:"refused_sends"`   // by Meta: another app had control by then
	WrongOwner     int `json:"wrong_owner"`     // of these, those that Usher knew of
	Duplicates     int `json:"duplicate_sends"` // second copies of a message
	EchoLost       int `json:"echo_lost"`       // of these, those for want of an echo: Meta told of none
	EchoLate       int `json:"echo_late"`       // those whose echo came after the second copy had begun
	Raced          int `json:"raced"`           // those under way when an echo came
	Unexplained    int `json:"unexplained"`     // and those begun when it had come
	Forgotten      int `json:"forgotten"`       // sends whose decision a failover lost
	Dropped        int `json:"dropped"`         // decided, not sent, and reported
	ZombiesRefused int `json:"zombies_refused"` // partitions whose former owner was refused
	CutHistories   int `json:"cut_histories"`   // threads too long to judge
	UnclearWants   int `json:"unclear_wants"`   // acts whose right answer nobody can tell
}

// OK tells whether no guarantee was broken.
func (v Verdict) OK() bool {
	for _, g := range v.Guarantees {
		if g.Broken > 0 {
			return false
		}
	}
	return true
}

// WriteTable writes the verdict for people.
func (v Verdict) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var out io.Writer = t
	fmt.Fprintln(out, "\tHELD\tBROKEN\tGUARANTEE")
	for _, g := range v.Guarantees {
		held := strconv.Itoa(g.Held)
		if g.Held+g.Broken == 0 {
			held = "not tried"
		}
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\n", g.ID, held, g.Broken, g.Says)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, g := range v.Guarantees {
		for _, e := range g.Examples {
			fmt.Fprintf(w, "%s broken: %s\n", g.ID, e)
		}
	}
	return nil
}

// Named returns the threads that examples name.
func (v Verdict) Named(threads []Thread) (named []Thread) {
	for _, t := range threads {
		if slices.ContainsFunc(v.Guarantees, func(g Guarantee) bool {
			return slices.ContainsFunc(g.Examples, func(e string) bool { return strings.HasPrefix(e, t.Name+": ") })
		}) {
			named = append(named, t)
		}
	}
	return named
}

// examples is how many places are named for each guarantee.
const examples = 5

func (g *Guarantee) held(n int) { g.Held += n }

func (g *Guarantee) broke(format string, args ...any) {
	g.Broken++
	if len(g.Examples) < examples {
		g.Examples = append(g.Examples, fmt.Sprintf(format, args...))
	}
}

// expect counts one case.
func (g *Guarantee) expect(ok bool, format string, args ...any) {
	if ok {
		g.Held++
		return
	}
	g.broke(format, args...)
}
