package main

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
	"github.com/spf13/cobra"
)

// flameCommand is `usher-bench flame`.
func (p *program) flameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "flame PROFILE",
		Short: "Draw a CPU profile as a flame graph, an SVG",
		Long: `Reads a CPU profile, as load --profiles writes them, and draws it: each box is a
function, as wide as the share of the time that it and what it calls take, and stands
on the one that called it. Its colour says whose work it is.`,
		Example: "  usher-bench load --profiles . && usher-bench flame usher-1.pprof >flame.svg",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			prof, err := profile.Parse(f)
			if err := cmp.Or(err, f.Close()); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return drawFlame(p.stdout, stacksOf(prof))
		},
	}
}

// frame is a function within a stack, with all that it calls.
type frame struct {
	name  string
	value int64 // of its samples
	calls map[string]*frame
}

func (f *frame) call(name string) *frame {
	if f.calls[name] == nil {
		f.calls[name] = &frame{name: name, calls: map[string]*frame{}}
	}
	return f.calls[name]
}

// stacksOf merges the stacks of a profile into a tree.
func stacksOf(p *profile.Profile) *frame {
	all := &frame{calls: map[string]*frame{}}
	for _, s := range p.Sample {
		at, value := all, s.Value[len(s.Value)-1]
		all.value += value
		for _, location := range slices.Backward(s.Location) {
			for _, line := range slices.Backward(location.Line) {
				at = at.call(line.Function.Name)
				at.value += value
			}
		}
	}
	return all
}

// owners tell by the beginning of a function's name whose work it is. The first that
// fits counts.
//
//nolint:gochecknoglobals // a table
var owners = []struct{ name, prefix, colour string }{
	{"the engine", "usher/handover/engine", "#3b7dd8"},
	{"the store", "usher/handover/redisstore", "#8e5bd0"},
	{"go-redis", "github.com/redis/", "#b08be0"},
	{"the webhook", "usher/messenger/webhook", "#2a9d8f"},
	{"the Graph client", "usher/messenger/graph", "#e07a3f"},
	{"other Usher", "usher/", "#6aa0e8"},
	{"JSON", "encoding/json", "#c9b037"},
	{"net/http", "net/http", "#7fc4b8"},
	{"system calls and network", "syscall", "#d05a6e"},
	{"system calls and network", "internal/poll", "#d05a6e"},
	{"system calls and network", "internal/runtime/syscall", "#d05a6e"},
	{"system calls and network", "net.", "#d05a6e"},
	{"Go's runtime", "runtime", "#9aa3ad"},
	{"all else", "", "#c3c9d0"},
}

const (
	flameWidth  = 1200.0
	flameRow    = 17.0
	flameTop    = 44.0
	flameLeast  = 0.0025 // of the whole: a box less wide is left out
	flameLetter = 6.2    // about
)

// drawFlame draws a tree of stacks, roots below.
func drawFlame(w io.Writer, all *frame) error {
	least := int64(flameLeast * float64(all.value))
	depth := depthOf(all, least)
	height := flameTop + float64(depth)*flameRow + 6
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="Flame graph of a CPU profile" font-family="ui-sans-serif, system-ui, sans-serif" font-size="11">`+"\n", flameWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	x, named := 8.0, map[string]bool{}
	for _, o := range owners {
		if !named[o.name] {
			fmt.Fprintf(&b, `<rect x="%.0f" y="10" width="11" height="11" rx="2" fill="%s"/><text x="%.0f" y="19.5" fill="#26303a">%s</text>`+"\n", x, o.colour, x+15, o.name)
			x += 15 + flameLetter*float64(len(o.name)) + 16
			named[o.name] = true
		}
	}
	var draw func(f *frame, x float64, row int)
	draw = func(f *frame, x float64, row int) {
		for _, c := range biggest(f, least) {
			width := flameWidth * float64(c.value) / float64(all.value)
			y := height - 6 - float64(row+1)*flameRow
			name := short(c.name)
			fmt.Fprintf(&b, `<g><title>%s: %.1f %%</title><rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="1.5" fill="%s"/>`,
				html.EscapeString(c.name), 100*float64(c.value)/float64(all.value), x, y, max(width-0.6, 0.3), flameRow-1, colourOf(c.name))
			if fits := int((width - 6) / flameLetter); fits >= 4 {
				fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="#10161c">%s</text>`, x+3, y+flameRow-5, html.EscapeString(name[:min(fits, len(name))]))
			}
			b.WriteString("</g>\n")
			draw(c, x, row+1)
			x += width
		}
	}
	draw(all, 0, 0)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// biggest returns what a function calls, in the order of their names, but for what
// is too small to be seen.
func biggest(f *frame, least int64) (calls []*frame) {
	for _, c := range f.calls {
		if c.value >= least {
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(a, b *frame) int {
		return cmp.Or(cmp.Compare(colourOf(a.name), colourOf(b.name)), cmp.Compare(a.name, b.name))
	})
	return calls
}

func depthOf(f *frame, least int64) (deepest int) {
	for _, c := range biggest(f, least) {
		deepest = max(deepest, 1+depthOf(c, least))
	}
	return deepest
}

func colourOf(function string) string {
	for _, o := range owners {
		if strings.HasPrefix(function, o.prefix) {
			return o.colour
		}
	}
	return ""
}

// short leaves out where a package is: "engine.(*turn).finish".
func short(function string) string {
	return function[strings.LastIndexByte(function, '/')+1:]
}
