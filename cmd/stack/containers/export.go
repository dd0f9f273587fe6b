package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewExportCommand makes the command export.
func NewExportCommand(run *cli.Run) *cobra.Command {
	var o ask.ExportOptions
	var output string
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] SERVICE",
		Short: "Write a container's file system as a tar archive",
		Long: `Writes the root file system of a container of the service, which may run or not, as a tar archive to stdout, or to the file that --output
names. What is mounted in it, its volumes among others, is not in the archive.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("export needs one service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Service = args[0]
			return exportContainer(cmd.Context(), run, o, output)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Index, "index", 0, "Which replica of the service (default: the first)")
	f.StringVarP(&output, "output", "o", "", "Write to this file, mode 0600, instead of stdout")
	return cmd
}

func exportContainer(ctx context.Context, run *cli.Run, o ask.ExportOptions, output string) error {
	switch {
	case o.Index < 0:
		return fmt.Errorf("--index %d: expected a positive number", o.Index)
	case output == "" && terminal.Of(run.Out) != nil:
		return fmt.Errorf("output option is required when exporting to terminal (name a file with -o, or redirect stdout)")
	}
	name, daemon, err := run.Reach(ctx, []string{o.Service})
	if err != nil {
		return err
	}
	to := output
	if to == "" {
		to = "stdout"
	}
	write := func(w io.Writer) error { return daemon.Export(ctx, name, o, w, told(run, o.Service+" to "+to)) }
	if output == "" {
		return write(run.Out)
	}
	return replaceFile(output, write)
}

// replaceFile has write write a file that takes the place of the one at path when it is whole.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("cannot write %s: it is not a regular file", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return cannotWrite(path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return cannotWrite(path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		if at := (*os.PathError)(nil); errors.As(err, &at) && at.Path == f.Name() {
			return cannotWrite(path, err)
		}
		return err
	}
	if err = f.Close(); err != nil {
		return cannotWrite(path, err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return cannotWrite(path, err)
	}
	return nil
}

// cannotWrite says it of path, which is what the user knows, and not of the file that was to take its place.
func cannotWrite(path string, err error) error {
	var at *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("cannot write %s: %w", path, err)
}
