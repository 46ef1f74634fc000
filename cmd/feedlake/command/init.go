package command

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/feedlake/feedlake"
)

//go:embed templates/feedlake.yaml
var commentedConfig string

//go:embed templates/archives.yaml
var archivesConfig string

//go:embed templates/sources.yaml
var sourcesConfig string

// archives renders the example over real posts: shared is where the archives
// lie and dir where the lake shall lie, both as seen from the config's folder.
func archives(file, shared, dir string) string {
	return strings.NewReplacer("{{config}}", file, "{{shared}}", shared, "{{lake}}", dir).Replace(archivesConfig)
}

func newInitCommand(o *options) *cobra.Command {
	example, force := "", false
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented config (feedlake.yaml)",
		Example: `  feedlake init
  feedlake init --example archives archives.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := "feedlake.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			text := commentedConfig
			switch example {
			case "":
			case "archives":
				text = archives(path, "../shared", "./archives-lake")
			case "sources":
				text = sourcesConfig
			default:
				return usage("--example %q: archives or sources", example)
			}
			flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
			if force {
				flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := os.OpenFile(path, flags, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return feedlake.Hint(fmt.Errorf("write %s: it is there already: %w", path, feedlake.ErrConfig), "choose another name, or --force to write over it")
			}
			if err != nil {
				return fmt.Errorf("write config: %w", err)
			}
			if _, err := f.WriteString(text); err != nil {
				return errors.Join(fmt.Errorf("write config: %w", err), f.Close())
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("write config: %w", err)
			}
			printLine(o.env.stdout, "wrote "+path+"; next: feedlake run --config "+path)
			return nil
		},
	}
	c.Flags().StringVar(&example, "example", "", `"archives": the config over real archived posts`)
	c.Flags().BoolVar(&force, "force", false, "write over an existing file")
	return c
}
