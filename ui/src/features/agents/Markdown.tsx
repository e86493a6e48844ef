import { openExternal } from '../../platform/environment';
import { parseMarkdown } from './markdown';
import type { Block, Inline } from './markdown';

/** Text of an agent. Only elements made here: nothing of the text is ever taken for HTML. */
export function Markdown({ text }: { text: string }) {
  return (
    <div className="said">
      {parseMarkdown(text).map((block, index) => (
        <Part key={index} block={block} />
      ))}
    </div>
  );
}

function Part({ block }: { block: Block }) {
  switch (block.kind) {
    case 'code':
      return (
        <pre className="said-code" tabIndex={0} data-language={block.language || undefined}>
          {block.text}
        </pre>
      );
    case 'list':
      return (
        <ul>
          {block.items.map((item, index) => (
            <li key={index} style={{ marginInlineStart: `${String(item.depth * 16)}px` }}>
              <span className="said-mark" aria-hidden="true">
                {block.ordered && item.depth === 0 ? `${String(block.start + topBefore(block.items, index))}.` : '•'}
              </span>
              <span className="grow">
                <Line inline={item.inline} />
              </span>
            </li>
          ))}
        </ul>
      );
    case 'rule':
      return <hr />;
    case 'quote':
      return (
        <blockquote>
          <Line inline={block.inline} />
        </blockquote>
      );
    case 'heading':
      // No heading of the page: a screen reader would find a hundred of them in its outline.
      return (
        <p className="said-heading">
          <Line inline={block.inline} />
        </p>
      );
    case 'paragraph':
      return (
        <p>
          <Line inline={block.inline} />
        </p>
      );
  }
}

function topBefore(items: readonly { depth: number }[], index: number): number {
  return items.slice(0, index).filter((item) => item.depth === 0).length;
}

function Line({ inline }: { inline: readonly Inline[] }) {
  return inline.map((part, index) => {
    switch (part.kind) {
      case 'code':
        return <code key={index}>{part.text}</code>;
      case 'strong':
        return <strong key={index}>{part.text}</strong>;
      case 'em':
        return <em key={index}>{part.text}</em>;
      case 'link':
        return (
          <a
            key={index}
            className="text"
            href={part.href}
            title={part.href}
            rel="noopener noreferrer"
            target="_blank"
            onClick={(event) => {
              event.preventDefault();
              void openExternal(part.href);
            }}
          >
            {part.text}
          </a>
        );
      case 'text':
        return part.text;
    }
  });
}
