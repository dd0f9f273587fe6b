package images

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/event"
)

// NewLoadCommand makes the command load.
func NewLoadCommand(run *cli.Run) *cobra.Command {
	var input string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "load [OPTIONS]",
		Short: "Load images from an archive",
		Long: `Loads images from a tar archive: what docker save or podman save write, or an OCI layout. The archive comes
from -i or from stdin. With -i it may be the directory of an OCI layout, too.`,
		Args:        oneArchive,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return loadImages(cmd.Context(), run, input, quiet) },
	}
	f := cmd.Flags()
	f.StringVarP(&input, "input", "i", "", "Read this file, or directory, instead of stdin")
	f.BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	return cmd
}

// oneArchive refuses arguments: an archive stands behind --input.
func oneArchive(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.Flags().Changed("input"):
		return fmt.Errorf("`%s` reads one archive at a time: give %q to another one", cmd.CommandPath(), args[0])
	}
	return fmt.Errorf("`%s` reads stdin, or what --input names: `%[1]s --input %s`", cmd.CommandPath(), args[0])
}

func loadImages(ctx context.Context, run *cli.Run, input string, quiet bool) error {
	var r io.Reader = run.In
	switch {
	case input != "":
		f, err := openArchive(input)
		if err != nil {
			return fmt.Errorf("cannot load images: %w", err)
		}
		defer f.Close()
		r = f
	case terminal.Of(run.In) != nil:
		return fmt.Errorf("cannot load images from a terminal (name an archive with -i, or redirect stdin)")
	}
	daemon := run.Connect()
	show := run.Quietly(quiet)
	images, err := daemon.Load(ctx, r, func(e event.Event) {
		if e.Name != "" { // an archive's images have names once it is read
			show.Event(e)
		}
	})
	if err != nil {
		return err
	}
	run.EndProgress()
	var lines []string
	for _, i := range images {
		if len(i.Refs) == 0 {
			lines = append(lines, "Loaded image ID: "+i.ID)
		}
		for _, ref := range i.Refs {
			lines = append(lines, "Loaded image: "+ref)
		}
	}
	return formatter.WriteLines(run.Out, lines)
}

// openArchive opens the file path, or an OCI layout's directory as the archive of it (OCI image-spec, image-layout.md).
func openArchive(path string) (io.ReadCloser, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return os.Open(path)
	}
	if _, err := os.Stat(filepath.Join(path, "oci-layout")); err != nil {
		return nil, fmt.Errorf("%s is a directory and no OCI layout: %w", path, err)
	}
	r, w := io.Pipe()
	go func() {
		t := tar.NewWriter(w)
		err := t.AddFS(os.DirFS(path))
		if err == nil {
			err = t.Close()
		}
		w.CloseWithError(err) // nil: its end
	}()
	return r, nil
}
