// Command feedlake follows what is said about topics across social networks: it
// lands posts in a lake, builds features, trains and scores models, publishes
// aggregates and serves a dashboard.
package main

import (
	"os"

	"github.com/feedlake/feedlake/cmd/feedlake/command"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(command.Main(version)) }
