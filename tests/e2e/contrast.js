// The texts of a page, the edges of its fields, and the outline of what has the focus, that stand out less than people need: 4.5:1, large texts and edges 3:1.
() => {
  const parse = (colour) => {
    const parts = colour.match(/[\d.]+/g).map(Number);
    if (colour.startsWith("color(")) parts.splice(0, 3, ...parts.slice(0, 3).map((part) => 255 * part));  // of a mix
    return parts.length > 3 ? parts : [...parts, 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const up = (element) => { const all = []; for (let e = element; e; e = e.parentElement) all.push(getComputedStyle(e)); return all; };
  const ground = (element) => up(element).reverse().reduce((c, style) => over(parse(style.backgroundColor), c), [255, 255, 255]);
  const opacity = (element) => up(element).reduce((product, style) => product * style.opacity, 1);
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, words = texts.currentNode.textContent.trim();
    if (!words || !element.checkVisibility?.({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest("script, style, svg, [aria-hidden=true], :disabled, #parlance-live, [data-testid=stSliderThumbValue], [class*=st-key-icon-]")) continue;
    const style = getComputedStyle(element), below = ground(element), colour = parse(style.color);
    colour[3] *= opacity(element);
    const isLarge = parseFloat(style.fontSize) >= 24;
    const value = ratio(over(colour, below), below);
    if (value < (isLarge ? 3 : 4.5)) found.add(`${value.toFixed(2)} ${words.slice(0, 40)}`);
  }
  for (const field of document.querySelectorAll("[data-testid$=RootElement], [data-testid=stNumberInputContainer], [data-testid^=stBaseButton-primary]:enabled")) {
    const around = ground(field.parentElement), edge = parse(getComputedStyle(field).borderTopColor);
    const value = Math.max(ratio(ground(field), around), ratio(over(edge, around), around));
    if (value < 3) found.add(`${value.toFixed(2)} ${field.dataset.testid}`);
  }
  const tracks = "[data-testid=stCheckbox] label > span + div, [data-testid=stSlider] [role=group] > div > div:first-child";
  for (const track of document.querySelectorAll(tracks)) {  // switches, boxes, sliders
    const style = getComputedStyle(track), around = ground(track.parentElement);
    const shadow = style.boxShadow.match(/(rgba?|color)\([^)]*\)/)?.[0];
    const edges = [style.borderTopWidth !== "0px" && style.borderTopColor, shadow].filter(Boolean).map(parse);
    const value = Math.max(...[ground(track), ...edges.map((edge) => over(edge, around))].map((one) => ratio(one, around)));
    if (value < 3) found.add(`${value.toFixed(2)} a switch or slider`);
  }
  const focused = document.activeElement;
  if (focused?.matches(":focus-visible")) {
    const outlined = [focused, focused.parentElement, focused.parentElement.parentElement].find((one) => getComputedStyle(one).outlineStyle !== "none");
    const around = ground((outlined ?? focused).parentElement);
    const value = outlined ? ratio(over(parse(getComputedStyle(outlined).outlineColor), around), around) : 1;
    if (value < 3) found.add(`${value.toFixed(2)} the outline of what has the focus`);
  }
  return [...found];
}
