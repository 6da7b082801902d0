package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by a release: go build -ldflags "-X main.version=v1.2.3".
var version string

// versionCommand is `usher version`.
func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    `Prints the version, the commit it was built from where that is known, and Go's.`,
		Example: `  usher version`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(p.stdout, "usher %s %s %s/%s\n", currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// currentVersion returns the version of this program.
func currentVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// versionOf returns the version that was linked in, or else the module's with its
// commit; "devel" where neither is known. info may be nil.
func versionOf(info *debug.BuildInfo) string {
	v, commit, changed := version, "", ""
	if info == nil {
		return cmp.Or(v, "devel")
	}
	if info.Main.Version != "(devel)" {
		v = cmp.Or(v, info.Main.Version)
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if v = cmp.Or(v, "devel"); commit != "" {
		return fmt.Sprintf("%s (%s%s)", v, commit, changed)
	}
	return v
}
