package config

import _ "embed"

// The starter files that `usher init` writes. They are also the reference: every
// setting stands in the first, with its default.
var (
	//go:embed usher.yaml
	starterSettings []byte
	//go:embed bot.yaml
	starterScript []byte
)

// StarterSettings returns the content of a new usher.yaml. It is valid but for
// its placeholders; see [Config.Ready].
func StarterSettings() []byte { return append([]byte(nil), starterSettings...) }

// StarterScript returns the content of a new bot.yaml.
func StarterScript() []byte { return append([]byte(nil), starterScript...) }
