package scene

import (
	"fmt"
	"slices"
	"strings"
)

// Diff returns how got differs from want, line by line: "" where it does not.
func Diff(name, want, got string) string {
	if want == got {
		return ""
	}
	d := differ{want: strings.Split(strings.TrimSuffix(want, "\n"), "\n"), got: strings.Split(strings.TrimSuffix(got, "\n"), "\n"), shown: -1}
	fmt.Fprintf(&d.out, "%s: - expected, + what happened\n", name)
	common := d.common()
	i, j := 0, 0
	for i < len(d.want) || j < len(d.got) {
		switch {
		case i < len(d.want) && j < len(d.got) && d.want[i] == d.got[j]:
			i, j = i+1, j+1
		case j == len(d.got) || i < len(d.want) && common[i+1][j] >= common[i][j+1]:
			d.context(i)
			fmt.Fprintf(&d.out, "- %4d  %s\n", i+1, d.want[i])
			i++
		default:
			d.context(i)
			fmt.Fprintf(&d.out, "+       %s\n", d.got[j])
			j++
		}
	}
	return d.out.String()
}

type differ struct {
	want, got []string
	out       strings.Builder
	shown     int // the last line of the script that was shown
}

// common returns how many lines want[i:] and got[j:] have in common, in order.
func (d *differ) common() [][]int {
	table := make([][]int, len(d.want)+1)
	for i := range table {
		table[i] = make([]int, len(d.got)+1)
	}
	for i, a := range slices.Backward(d.want) {
		for j, b := range slices.Backward(d.got) {
			if table[i][j] = max(table[i+1][j], table[i][j+1]); a == b {
				table[i][j] = table[i+1][j+1] + 1
			}
		}
	}
	return table
}

// context shows the line of the script above want[i], once.
func (d *differ) context(i int) {
	for k := i - 1; k > d.shown; k-- {
		if !strings.HasPrefix(d.want[k], ">") {
			fmt.Fprintf(&d.out, "  %4d  %s\n", k+1, d.want[k])
			d.shown = k
			return
		}
	}
}
