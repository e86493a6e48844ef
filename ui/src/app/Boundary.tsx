import { Component } from 'react';
import type { ReactNode } from 'react';
import { Button } from '../shared/parts';

/** A fault of this page: say so, lose nothing, offer the way back. The host and its runs go on. */
export class Boundary extends Component<{ children: ReactNode; place: string }, { error?: Error; place?: string }> {
  override state: { error?: Error; place?: string } = {};

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps(props: { place: string }, state: { error?: Error; place?: string }) {
    // Another screen may well work.
    return state.place === props.place ? null : { place: props.place, error: undefined };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div className="crash stack" role="alert" data-testid="crash">
        <h1>This screen failed</h1>
        <p className="soft">
          It is a fault of this page, not of your runs: the host goes on with them, and nothing was lost.
        </p>
        <pre className="card" style={{ padding: 12, overflow: 'auto' }}>
          {error.message}
        </pre>
        <div className="row">
          <Button kind="primary" onClick={() => location.reload()}>
            Reload
          </Button>
          <Button onClick={() => location.assign('/')}>All projects</Button>
        </div>
      </div>
    );
  }
}
